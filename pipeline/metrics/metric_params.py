"""The base class of the params of metrics."""

from pipeline.section import Section


class MetricParams(Section):
    """Params of any metric; most have but their name, which may stand alone in params.yaml."""

    name: str
