"""Check the transforms of params.yaml at the start of a run, once for each list.

`load_params` leaves them to the library, which takes a second to import. `dvc repro` begins with `pipeline inventory`:
a misspelt name is said there, before an hour of ingest and not after it. A list that passed is remembered.
"""

from pathlib import Path

from pipeline import catalogue
from pipeline.project.params_file import Params
from pipeline.store.refusals import refusals
from pipeline.store.shards import fingerprint
from pipeline.store.writing import replacing, write_bytes
from pipeline.versions.stages import installed_versions


def check_transforms_once(params: Params) -> None:
    """Raise ParamsError unless the transforms can be used.

    Raises:
        ParamsError: what cannot be used, each problem on a line of its own with its place.
    """
    memory = Path(catalogue.CHECKED_TRANSFORMS)
    listed = [item.model_dump() for item in params.augment.transforms]
    if not listed:
        return
    # By its name: to import it takes the second that is to be saved.
    code = installed_versions().of_code(["pipeline.transforms.transforms:check_transforms"])
    key = fingerprint(code, ["albumentations"], {"size": params.ingest.size, "transforms": listed}).encode()
    with refusals(memory):
        if memory.is_file() and memory.read_bytes() == key:
            return
    from pipeline.transforms.transforms import check_transforms

    check_transforms(params.augment.transforms, params.ingest.size)
    with replacing(memory) as half:
        write_bytes(key, half)
