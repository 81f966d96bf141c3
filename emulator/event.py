"""One event of an emulated project, in the form of the export."""

import random
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

NULLS = [
    "$insert_key",
    "$schema",
    "adid",
    "amplitude_event_type",
    "device_brand",
    "device_manufacturer",
    "device_model",
    "global_user_properties",
    "idfa",
    "is_attribution_event",
    "partner_id",
    "sample_rate",
    "source_id",
    "user_creation_time",
]
"""Keys of every line, which were null in all recorded lines."""

PAGES = ("/", "/pricing", "/docs/getting-started", "/búsqueda", "/価格", "/checkout")
PLACES = (
    ("Leeds", "United Kingdom", "Leeds", None, "English"),
    ("Portland", "United States", "Oregon", "Portland, OR", "English"),
    ("München", "Germany", "Bavaria", None, "German"),
    ("東京", "Japan", "Tokyo", None, "Japanese"),
    ("Pune", "India", "Maharashtra", None, "English"),
    (None, None, None, None, None),
)
EVENT_TYPES = (
    "[Amplitude] Page Viewed",
    "Checkout Step Viewed",
    "Invoice Paid",
    "revenue_amount",
    "session_end",
    "session_start",
)


@dataclass(frozen=True)
class Sender:
    """The values with which a kind of client describes itself."""

    library: str
    platform: str | None
    os_name: str | None
    os_version: str | None
    device_family: str | None
    device_type: str | None
    device_carrier: str | None
    version_name: str | None


SENDERS = (
    Sender("amplitude-ts/2.11.9", "Web", "Chrome", "133", "Windows", "Windows", None, None),
    Sender(
        "amplitude-swift/1.11.3",
        *("iOS", "ios", "18.3.1", "Apple iPhone", "Apple iPhone 15", "Example Mobile", "4.7.2"),
    ),
    Sender(
        "amplitude-analytics-android/1.20.2",
        *("Android", "android", "14", "Samsung Galaxy Phone", "Samsung Galaxy A54"),
        *("Sample Telecom", "4.6.0"),
    ),
    Sender("http/2.0", None, None, None, None, None, None, None),
)


def wire(moment: datetime) -> str:
    """Return a time in the export's form: UTC, no zone, six decimals."""
    return f"{moment:%Y-%m-%d %H:%M:%S.%f}"


def event(chance: random.Random, app: int, hour: datetime) -> dict[str, Any]:
    """Return an event uploaded within an hour, with all 55 keys in alphabetical order."""
    uploaded = hour + timedelta(milliseconds=chance.randrange(1_000, 3_599_000))
    if chance.random() < 0.05:
        uploaded = uploaded.replace(microsecond=0)
    received = uploaded - timedelta(milliseconds=6)
    client_upload = received - timedelta(milliseconds=chance.randrange(900))
    happened = client_upload - timedelta(milliseconds=chance.randrange(20_000))
    if chance.random() < 0.03:
        # A device that was offline: hours and days before it reached Amplitude.
        happened -= timedelta(minutes=chance.randrange(60, 6_000))
    client_times = [wire(happened), wire(client_upload)]
    if chance.random() < 0.02:
        client_times = [time[:19] for time in client_times]
    person = chance.randrange(10_000)
    by_server = chance.random() < 0.1
    sender = SENDERS[3] if by_server else SENDERS[person % 3]
    city, country, region, dma, language = PLACES[5 if by_server else person % 5]
    grouped = person % 7 == 0
    located = sender.platform == "iOS"
    session = -1 if by_server else int(happened.timestamp()) * 1000 - chance.randrange(10**6)
    values: dict[str, Any] = {
        **dict.fromkeys(NULLS),
        "$insert_id": f"invoice-{person}-paid" if by_server else _uuid(chance),
        "amplitude_attribution_ids": f"{chance.getrandbits(128):032x}" if located else None,
        "amplitude_id": 731_550_000_000 + person,
        "app": app,
        "city": city,
        "client_event_time": client_times[0],
        "client_upload_time": client_times[1],
        "country": country,
        "data": {
            "path": "/batch" if sender.platform == "Android" else "/2/httpapi",
            "user_properties_updated": True,
            "first_event": person % 100 == 0,
            "group_first_event": {"org": False} if grouped else {},
            "group_ids": {"org": [{"name": f"Org {person}", "id": person}]} if grouped else {},
        },
        "data_type": "event",
        "device_carrier": sender.device_carrier,
        "device_family": sender.device_family,
        "device_id": str(uuid.UUID(int=person + 2**100, version=4)),
        "device_type": sender.device_type,
        "dma": dma,
        "event_id": chance.randrange(1, 10**9),
        "event_properties": _properties(chance, by_server),
        "event_time": wire(happened),
        "event_type": "Invoice Paid" if by_server else chance.choice(EVENT_TYPES),
        "group_properties": {"org": {f"Org {person}": {"seats": 40}}} if grouped else {},
        "groups": {"org": [f"Org {person}"]} if grouped else {},
        "ip_address": None if by_server else f"203.0.113.{person % 256}",
        "language": language,
        "library": sender.library,
        "location_lat": 45.523064 if located else None,
        "location_lng": -122.676483 if located else None,
        "os_name": sender.os_name,
        "os_version": sender.os_version,
        "paying": True if grouped else None,
        "plan": {"branch": "main", "source": "ios-app", "version": "15"} if located else {},
        "platform": sender.platform,
        "processed_time": wire(uploaded + timedelta(milliseconds=900)),
        "region": region,
        "server_received_time": wire(received),
        "server_upload_time": wire(uploaded),
        "session_id": session,
        "start_version": "3.9.1" if sender.version_name else None,
        "user_id": None if person % 4 == 0 else f"user-{person}@example.com",
        "user_properties": {
            "display_name": chance.choice(("Ada Example", "Ünïcødé 🌱 名前")),
            "initial_referrer": "EMPTY",
            "initial_utm_source": "EMPTY",
            "interests": ["tools", "seeds"],
            "loyalty_points": chance.randrange(5_000),
            "plan": chance.choice(("trial", "team")),
            "referrer": "https://www.example.org/",
            "signup date": "2023-03-01",
        },
        "uuid": _uuid(chance),
        "version_name": sender.version_name,
    }
    return dict(sorted(values.items()))


def _properties(chance: random.Random, by_server: bool) -> dict[str, Any]:
    if by_server:
        return {
            "amount": round(chance.random() * 2_000, 2),
            "currency": "EUR",
            # The first integer that a float cannot represent.
            "invoice_id": 2**53 + 1,
            "lines": [],
            "meta": {"source": {"attempt": 1, "system": "billing"}},
        }
    page = chance.choice(PAGES)
    return {
        "$price": round(chance.random() * 100, 2),
        "[Amplitude] Page Counter": chance.randrange(1, 30),
        "[Amplitude] Page Path": page,
        "[Amplitude] Page Title": f"{page} | Fernhill Tools",
        "[Amplitude] Page URL": f"https://shop.example.com{page}",
        "coupon": None,
        "experiment variant": chance.choice("AB"),
        "items": [{"qty": 2, "sku": f"SKU-{chance.randrange(9_999)}", "tags": ["garden", "sale"]}],
        "note": 'line one\nline two "quoted"',
    }


def _uuid(chance: random.Random) -> str:
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))
