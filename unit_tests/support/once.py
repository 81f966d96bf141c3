"""Build many sources in less time: what is the same for each of them is done once.

For each source the CDK parses, validates and resolves the manifest, which is half the time of most tests.
`unit_tests/test_once.py` compares sources that are built with and without these patches.
"""

import copy
import functools
import pickle
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from airbyte_cdk.sources.declarative import concurrent_declarative_source as cdk
from airbyte_cdk.sources.declarative.parsers.manifest_component_transformer import (
    ManifestComponentTransformer,
)

from source_amplitude.process import source


def pickled(make: Callable[[], Any]) -> bytes:
    """What `make` makes, so that each user has one of its own."""
    return pickle.dumps(make())


class Once:
    """The patches of the CDK and of the package; `calls` counts how often each replaces a function."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self._patch = pytest.MonkeyPatch()
        self._valid: list[Mapping[str, Any]] = []
        self._resolved: list[tuple[Any, bytes]] = []
        self._manifest = functools.cache(functools.partial(pickled, source.load_manifest))
        self._schema = functools.cache(cdk.get_declarative_component_schema)
        self._validate = cdk.validate_manifest
        self._propagate = ManifestComponentTransformer.propagate_types_and_parameters

    def start(self) -> None:
        """Patch."""
        replace = self._patch.setattr
        replace(source, "load_manifest", self._load_manifest)
        replace(cdk, "get_declarative_component_schema", self._get_schema)
        replace(cdk, "validate_manifest", self._validate_manifest)
        # A method of the transformer, which it calls for each part with the name of the parent.
        replace(
            ManifestComponentTransformer,
            "propagate_types_and_parameters",
            lambda *arguments, **more: self._propagate_all(*arguments, **more),
        )

    def stop(self) -> None:
        """Undo the patches."""
        self._patch.undo()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Build sources without the patches for a while."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def _load_manifest(self) -> Any:
        self.calls["load_manifest"] += 1
        return pickle.loads(self._manifest())

    def _get_schema(self) -> Any:
        self.calls["get_declarative_component_schema"] += 1
        return self._schema()

    def _validate_manifest(self, manifest: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
        self.calls["validate_manifest"] += 1
        if manifest not in self._valid:
            self._validate(manifest, schema)
            self._valid.append(copy.deepcopy(manifest))

    def _propagate_all(
        self,
        transformer: ManifestComponentTransformer,
        parent: str,
        component: Any,
        *others: Any,
        **more: Any,
    ) -> dict[str, Any]:
        if parent:
            return self._propagate(transformer, parent, component, *others, **more)
        self.calls["propagate_types_and_parameters"] += 1
        made = next((made for given, made in self._resolved if given == component), None)
        if made is None:
            given = copy.deepcopy(component)
            made = pickle.dumps(self._propagate(transformer, parent, component, *others, **more))
            self._resolved.append((given, made))
        return dict(pickle.loads(made))
