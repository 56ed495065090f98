"""The chunks of one series of an original store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastk.engine.chunks import SeriesChunks
from fastk.engine.original.files import OriginalFiles
from fastk.engine.original.mapped import OriginalMapped
from fastk.format.chunk import ChunkIdentity

if TYPE_CHECKING:
    import numpy as np

    from fastk.engine.mapped import MappedChunk
    from fastk.engine.sidecars import SeriesSidecars


class OriginalChunks(SeriesChunks):
    """Maps them as their manifests describe them."""

    def _make_sidecars(self) -> SeriesSidecars:
        from fastk.engine.original.sidecars import OriginalSidecars

        return OriginalSidecars(self._disk, self.maps, self._verify, self.indexes)

    def _map_file(self, path: str, chunk_id: int, item: np.void) -> MappedChunk:
        assert isinstance(self.files, OriginalFiles)
        entry = self.files.entry(item)
        identity = ChunkIdentity(
            self.settings.series_id, chunk_id, 0, 0, 1, entry.generation, int(item["kind"]), int(item["partition"])
        )
        chunk = OriginalMapped(
            self._disk.map(path),
            entry,
            identity,
            self.settings,
            path,
            self._verified.get(chunk_id),
            self._verify,
            int(item["sidecars"]),
        )
        self._verified.setdefault(chunk_id, chunk.verified)
        return chunk
