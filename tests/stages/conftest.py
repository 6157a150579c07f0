"""Fixtures that several tests of stages use."""

import pytest

from tests.augmented import Originals, ingested


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Originals:
    """Ingested images, as rows of train."""
    return ingested(tmp_path_factory.mktemp("augment"))
