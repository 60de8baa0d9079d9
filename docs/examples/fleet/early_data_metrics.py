"""Count the early data that a RedisAntiReplayCache rejects, as metrics of Prometheus."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from trio_tlsx.contrib.redis import RedisAntiReplayCache


class RefusedEarlyData(Collector):
    """Collect the refusals of a cache; register it with ``REGISTRY.register``."""

    def __init__(self, cache: RedisAntiReplayCache) -> None:
        self.cache = cache

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Return the number of refusals for each reason."""
        family = CounterMetricFamily(
            "tls_early_data_refusals", "Early data that the cache rejected.", labels=["reason"]
        )
        for reason, count in self.cache.refusals.items():
            family.add_metric([reason.value], count)
        yield family
