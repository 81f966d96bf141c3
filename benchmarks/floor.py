"""The floor: what reading the archives costs with nothing around it."""

import gzip
import sys
import zipfile

import orjson

for path in sys.argv[1:]:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            with archive.open(name) as member, gzip.open(member) as lines:
                for line in lines:
                    record = {"stream": "events", "data": orjson.loads(line), "emitted_at": 0}
                    sys.stdout.buffer.write(
                        orjson.dumps({"type": "RECORD", "record": record}) + b"\n"
                    )
