"""The parsers before atheris, which is led by coverage: ``python fuzz_by_coverage.py KIND FOLDER [options]``.

KIND is a key of ``fuzzing.PARSERS``, FOLDER takes the cases found so far, and options are libFuzzer's
(``-max_total_time=60``, for example). Atheris is no dependency: ``pip install atheris``. What it finds belongs into
``tests/regressions/KIND/``, under a name that says what it is.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def main() -> None:
    import atheris

    with atheris.instrument_imports(include=["fastk.format", "fastk.schema", "fastk.bridge"]):
        from support import fuzzing

    kind, folder, *options = sys.argv[1:]
    plant_seed(kind, Path(folder))

    def look(data: bytes) -> None:
        fuzzing.parse(kind, data)

    atheris.Setup([sys.argv[0], folder, *options], look)
    atheris.Fuzz()


def plant_seed(kind: str, folder: Path) -> None:
    """Begin with a sound file of the kind."""
    from builders import temporary_folder
    from support import damage

    folder.mkdir(parents=True, exist_ok=True)
    if kind in damage.FILES:
        with temporary_folder() as place:
            damage.make_store(place / "store")
            (folder / "sound").write_bytes(damage.file_of(place / "store", kind).read_bytes())


if __name__ == "__main__":
    main()
