"""FastK: a memory-mapped columnar storage engine for fixed-width market data.

Every public name is importable from here and loaded when it is first used, so that ``import fastk`` stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "fastk.errors": "Conflict FastKError InvalidData InvalidInput LockTimeout NotFound SnapshotExpired StoreClosed "
    "UnsupportedVersion",
    "fastk.times": "TimeUnit",
    "fastk.partition": "PartitionPolicy PartitionUnit",
    "fastk.keys": "ScalarSeriesKey SeriesKey factor_series_key feature_series_key indicator_series_key "
    "metric_series_key portfolio_series_key reserved_scalar_categories risk_series_key "
    "scoped_scalar_series_key signal_series_key BBO_CATEGORY BOOK_DELTA_CATEGORY FACTOR_CATEGORY "
    "FEATURE_CATEGORY INDICATOR_CATEGORY KLINE_CATEGORY METRIC_CATEGORY PORTFOLIO_CATEGORY "
    "PORTFOLIO_SYMBOL RISK_CATEGORY SIGNAL_CATEGORY TRADE_CATEGORY",
    "fastk.schema.schema": "BBO BOOK_DELTA KLINE SCALAR TRADE Field RecordType Schema",
    "fastk.schema.records": "BboRecord BookDeltaRecord KlineRecord Record ScalarRecord TradeRecord",
    "fastk.schema.settings": "SeriesSettings",
    "fastk.schema.scaling": "decode encode find_scale",
    "fastk.kernels": "warmup",
    "fastk.format.tables": "ChunkKind ChunkState",
    "fastk.engine.rows": "Rows",
    "fastk.engine.lookup": "Matches RangesResult",
    "fastk.engine.compaction": "CompactionDecision CompactionPolicy",
    "fastk.engine.results": "GcReport MergeResult PutResult",
    "fastk.registry.records": "DatasetManifestRecord DatasetRef FactorRegistryRecord FeatureRegistryRecord",
    "fastk.registry.registry": "DatasetRegistry",
    "fastk.registry.snapshots": "SnapshotResult",
    "fastk.registry.verify": "DatasetCheck RegistryReport verify_datasets",
    "fastk.registry.versions": "SeriesDigest versioned_dataset_root",
    "fastk.store.datasets": "open_dataset",
    "fastk.store.reports": "ChunkMeta IndicatorInventoryEntry MonthInventoryEntry SeriesInventoryEntry StoreStats "
    "VerificationReport",
    "fastk.query.expressions": "Between CompareOp Eq Gt Gte InSet Lt Lte Ne NotInSet ScalarPredicate "
    "ScalarPredicateExpr",
    "fastk.query.scalars": "ScalarPredicateMatch ScalarPredicateMatches ScalarPredicateQuery "
    "ScalarPredicateQueryResult ScalarQueryCapabilities ValueIndexEntry ZoneMapEntry",
    "fastk.query.stats": "ScalarIndexKind ScalarPredicateQueryStats",
    "fastk.query.results": "QueryResult",
    "fastk.recovery.verdicts": "Verdict",
    "fastk.recovery.reports": "LostRows ManifestValidation OrphanArtifact OverlapResolution RecoveryReport "
    "ScrubSeriesReport SeriesOverlapExplanation StoreHealthSummary",
    "fastk.replay.cursor": "ReplayCursor ReplayOptions",
    "fastk.replay.merged": "MergedReplay",
    "fastk.replay.batch": "ReplayBatch",
    "fastk.replay.sequences": "SequenceDuplicate SequenceGap SequenceScanReport SequenceViolation",
    "fastk.replay.coverage": "Coverage",
    "fastk.session.plan": "BacktestKlineBinding BacktestPreparePlan ScopedScalarBinding",
    "fastk.session.metrics": "MetricsLevel OperationMetrics StoreMetricsSnapshot",
    "fastk.session.reports": "PrewarmReport SessionCacheSummary SessionResetMode",
    "fastk.store.backtest_view": "BacktestCapabilitySnapshot BacktestStoreView",
    "fastk.store.read_session": "FastKReadSession",
    "fastk.store.latency": "LatencyProfile OperationLatency latency_profile",
    "fastk.store.exporting": "ExportResult",
    "fastk.store.import_options": "ImportOptions",
    "fastk.store.import_report": "ImportReport",
    "fastk.store.merging": "merged_replay",
    "fastk.matrix.fill": "ForwardFill ffill",
    "fastk.matrix.dataset": "WindowDataset",
    "fastk.matrix.matrix": "FeatureMatrix MatrixCoverage",
    "fastk.matrix.request": "MatrixLabel",
    "fastk.inspect.facts": "Gaps Hole PartitionFacts SeriesFacts Sizes StoreFacts",
    "fastk.inspect.whole_store": "inspect_store",
    "fastk.query.pruning": "ZonePruning",
    "fastk.report.page": "write_report",
    "fastk.store.series": "DEFAULT_SCALAR_ZMAP_BLOCK_SIZE Series",
    "fastk.interop.original": "ExportedSeries",
    "fastk.store.migration": "migrate",
    "fastk.store.migration_report": "MigrationReport SeriesMigration",
    "fastk.store.original_export": "OriginalExport export_original",
    "fastk.store.store": "FastKStore",
}
# Modules for use with libraries of the same names; not in __all__, where they would hide those.
_MODULES = {"duckdb": "fastk.interop.duckdb_views", "polars": "fastk.interop.polars_lazy"}
_HOME_OF = {name: home for home, listed in _HOMES.items() for name in listed.split()}

__all__ = ["__version__", "open", *sorted(_HOME_OF)]

__version__ = "0.1.0.dev0"


def __getattr__(name: str) -> Any:
    value: Any
    if name == "open":
        value = import_module("fastk.store.store").open_store
    elif name in _MODULES:
        value = import_module(_MODULES[name])
    elif name in _HOME_OF:
        value = getattr(import_module(_HOME_OF[name]), name)
    else:
        raise AttributeError(f"module 'fastk' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
