"""`fastk registry`: which datasets, features and factors there are; versions made, adopted and verified."""

from __future__ import annotations

import os.path
import sys
from typing import TYPE_CHECKING, Any

from fastk.cli.json_output import plain, print_json, wants_json
from fastk.errors import FastKError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from fastk.registry.registry import DatasetRegistry

    Command = Callable[[argparse.Namespace], int]

_DATASET_COLUMNS = ("dataset_id", "version", "status", "start_ts", "end_ts", "checksum", "fastk_root")
_FEATURE_COLUMNS = ("name", "version", "input_dataset_id", "input_dataset_version", "fastk_series_key", "status")


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """All commands and options."""
    registry = commands.add_parser("registry", help="datasets, features and factors, and versions that never change")
    registry.set_defaults(command=lambda options: _help(registry))
    each = registry.add_subparsers(title="commands", metavar="COMMAND")
    _add_reading(each)
    _add_writing(each)


def _add_reading(each: argparse._SubParsersAction[Any]) -> None:
    listing = _add(each, "list", _list, "list all versions of all datasets, or of one")
    listing.add_argument("dataset_id", nargs="?", metavar="ID")
    show = _add(each, "show", _show, "show a version; without VERSION the latest, which is for interactive use only")
    show.add_argument("dataset_id", metavar="ID")
    show.add_argument("version", nargs="?", metavar="VERSION")
    for name, what in (("features", _features), ("factors", _factors)):
        found = _add(each, name, what, f"list all {name}, or those calculated from one version of a dataset")
        found.add_argument("dataset", nargs="*", metavar="ID VERSION")
    verify = _add(each, "verify", _verify, "look whether all versions are there, and digest their rows anew")
    verify.add_argument("--no-read", action="store_true", help="compare the digests that they bear, and read no rows")


def _add_writing(each: argparse._SubParsersAction[Any]) -> None:
    for name in ("add", "upsert"):
        add = _add(each, name, _add_dataset, "register a version of a dataset, or change its row")
        _add_version(add)
        for option in ("root", "source", "market", "schema-version"):
            add.add_argument(f"--{option}", required=True, metavar="TEXT")
        for option in ("start-ts", "end-ts"):
            add.add_argument(f"--{option}", required=True, metavar="TIME", help="ms since 1970, or an ISO time")
        add.add_argument("--created-at", metavar="TIME")
        add.add_argument("--checksum", metavar="TEXT")
        add.add_argument("--status", metavar="TEXT")
    snapshot = _add(each, "snapshot", _snapshot, "make a version of a store and register it")
    snapshot.add_argument("store", metavar="ROOT")
    _add_version(snapshot)
    for option in ("source", "market", "status"):
        snapshot.add_argument(f"--{option}", metavar="TEXT")
    adopt = _add(each, "adopt", _adopt, "register the version that lies at a root, by what it says of itself")
    adopt.add_argument("root", metavar="ROOT")


def _add(each: argparse._SubParsersAction[Any], name: str, command: Command, what: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = each.add_parser(name, help=what, description=what)
    parser.add_argument("--base", metavar="FOLDER", help="the registry is FOLDER/registry.sqlite")
    parser.add_argument("--registry", metavar="FILE", help="the registry is this file")
    parser.add_argument("--json", action="store_true", help="print JSON, as when the output is no terminal")
    parser.set_defaults(command=command)
    return parser


def _add_version(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset_id", metavar="ID")
    parser.add_argument("version", metavar="VERSION")


def _help(parser: argparse.ArgumentParser) -> int:
    parser.print_help()
    return 0


# Reading


def _list(options: argparse.Namespace) -> int:
    with _open(options, "r") as registry:
        return _print_records(options, registry.list_datasets(options.dataset_id), _DATASET_COLUMNS)


def _show(options: argparse.Namespace) -> int:
    with _open(options, "r") as registry:
        if options.version is None:
            found = registry.get_latest_dataset(options.dataset_id)
            print("note: the latest version, for interactive use; a program names its version", file=sys.stderr)
        else:
            found = registry.get_dataset(options.dataset_id, options.version)
        if found is None:
            name = "@".join(filter(None, (options.dataset_id, options.version)))
            raise FastKError(f"dataset not found: {name}")
        return _print_record(options, found)


def _features(options: argparse.Namespace) -> int:
    with _open(options, "r") as registry:
        version = _dataset_of(options)
        found = registry.list_features_for_dataset(*version) if version else registry.list_features()
        return _print_records(options, found, ("feature_id", *_FEATURE_COLUMNS))


def _factors(options: argparse.Namespace) -> int:
    with _open(options, "r") as registry:
        version = _dataset_of(options)
        found = registry.list_factors_for_dataset(*version) if version else registry.list_factors()
        return _print_records(options, found, ("factor_id", *_FEATURE_COLUMNS, "input_feature_refs"))


def _dataset_of(options: argparse.Namespace) -> list[str]:
    if len(options.dataset) not in (0, 2):
        raise FastKError("name a dataset by ID and VERSION, or none")
    found: list[str] = options.dataset
    return found


def _verify(options: argparse.Namespace) -> int:
    from fastk.registry.verify import verify_datasets

    with _open(options, "r") as registry:
        report = verify_datasets(registry, options.base, read=not options.no_read)
    if wants_json(options):
        print_json(report)
    else:
        _print_table(report.datasets, ("dataset_id", "version", "state", "fastk_root", "detail"))
        for path in report.unregistered:
            print(f"unregistered: {path} (fastk registry adopt registers it)")
        for path in report.abandoned:
            print(f"abandoned by a killed snapshot: {path} (the next snapshot removes it)")
    if not report.is_sound:
        wrong = [f"{check.dataset_id}@{check.version}" for check in report.wrong]
        raise FastKError(f"not as registered: {', '.join(wrong)}")
    return 0


# Writing


def _add_dataset(options: argparse.Namespace) -> int:
    from fastk.registry.records import DatasetManifestRecord

    given = {name: getattr(options, name) for name in ("checksum", "status") if getattr(options, name) is not None}
    given |= {"created_at": _time(options.created_at)} if options.created_at is not None else {}
    record = DatasetManifestRecord(
        dataset_id=options.dataset_id,
        version=options.version,
        fastk_root=options.root,
        source=options.source,
        market=options.market,
        start_ts=_time(options.start_ts),
        end_ts=_time(options.end_ts),
        schema_version=options.schema_version,
        **given,
    )
    with _open(options, "rw") as registry:
        registry.upsert_dataset(record)
    return _print_record(options, record)


def _time(text: str) -> int:
    from fastk.times import to_ts

    return int(text) if text.lstrip("-").isdecimal() else to_ts(text)


def _snapshot(options: argparse.Namespace) -> int:
    from fastk.store.store import FastKStore

    registry = _registry_path(options)
    base = options.base or os.path.dirname(os.path.abspath(registry))
    given = {name: getattr(options, name) for name in ("source", "market", "status") if getattr(options, name)}
    with FastKStore.open(options.store) as store:
        result = store.snapshot(options.dataset_id, options.version, base, registry, **given)
    return _print_record(options, result.record)


def _adopt(options: argparse.Namespace) -> int:
    with _open(options, "rw") as registry:
        return _print_record(options, registry.adopt(options.root))


# The registry, and output


def _registry_path(options: argparse.Namespace) -> str:
    from fastk.format import names

    if options.registry is None and options.base is None:
        raise FastKError("say where the registry is: --base FOLDER or --registry FILE")
    return str(options.registry or os.path.join(options.base, names.REGISTRY_FILE))


def _open(options: argparse.Namespace, mode: Any) -> DatasetRegistry:
    from fastk.registry.registry import DatasetRegistry

    return DatasetRegistry.open(_registry_path(options), mode)


def _print_record(options: argparse.Namespace, record: Any) -> int:
    if wants_json(options):
        print_json(record)
    else:
        answer = plain(record)
        width = max(map(len, answer))
        for name, value in answer.items():
            print(f"{name:{width}}  {_text(value)}")
    return 0


def _print_records(options: argparse.Namespace, records: Sequence[Any], columns: Sequence[str]) -> int:
    if wants_json(options):
        print_json(list(records))
    else:
        _print_table(records, columns)
    return 0


def _print_table(records: Sequence[Any], columns: Sequence[str]) -> None:
    rows = [tuple(columns), *(tuple(_text(getattr(record, name)) for name in columns) for record in records)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _text(value: Any) -> str:
    """One line that a terminal can show."""
    text = ", ".join(value) if isinstance(value, tuple) else "" if value is None else str(value)
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
