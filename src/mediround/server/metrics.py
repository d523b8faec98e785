"""What a monitor may know: counts, durations, sizes; nothing of anybody's images or words."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from mediround.server.engine import SessionEngine

disable_created_metrics()  # type: ignore[no-untyped-call]  # twice as many lines, for nothing

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Everything that is measured, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "mediround_requests",
            "Answered requests.",
            ["route", "method", "status"],
            registry=self.registry,
        )
        self._request_seconds = Histogram(
            "mediround_request_seconds",
            "From the head of a request to the end of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._work_seconds = Histogram(
            "mediround_work_seconds",
            "Time of the engine for one job, without waiting.",
            ["kind"],
            buckets=_SECONDS,
            registry=self.registry,
        )

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """One request has been answered; ``route`` is a pattern, never an address."""
        self._requests.labels(route, method, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def work(self, kind: str, seconds: float) -> None:
        """One job of the engine is done."""
        self._work_seconds.labels(kind).observe(seconds)

    def watch(self, engine: SessionEngine) -> None:
        """Read the engine's state whenever somebody asks."""
        gauges: dict[str, tuple[str, Callable[[], float]]] = {
            "mediround_ready": ("Whether the model is loaded.", lambda: engine.model is not None),
            "mediround_waiting_jobs": ("Jobs in the queue.", lambda: len(engine.queue)),
            "mediround_live_sessions": ("Sessions in memory.", lambda: len(engine.pool)),
            "mediround_key_value_bytes": (
                "Keys and values in memory.",
                lambda: engine.pool.kept_bytes,
            ),
            "mediround_evicted_sessions": (
                "Sessions dropped from memory so far.",
                lambda: engine.pool.evicted,
            ),
            "mediround_rebuilt_sessions": (
                "Sessions built from disk so far.",
                lambda: engine.pool.rebuilt,
            ),
            "mediround_feature_bytes": (
                "Encoded images in memory.",
                lambda: 0 if engine.model is None else engine.model.kept_bytes,
            ),
            "mediround_encoded_images": (
                "Images encoded so far.",
                lambda: 0 if engine.model is None else engine.model.encoded_images,
            ),
        }
        for name, (about, value) in gauges.items():
            Gauge(name, about, registry=self.registry).set_function(value)

    def text(self) -> bytes:
        """All of it in Prometheus' format."""
        return generate_latest(self.registry)
