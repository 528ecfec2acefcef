"""Records what the chart makes of its defaults: ``make golden``."""

from pathlib import Path

from tests.support.kubernetes import tools

if __name__ == "__main__":
    chart = Path(__file__).parents[2] / "helm" / "ccaas-kafka-bridge"
    Path(__file__).with_name("golden").joinpath("defaults.yaml").write_text(tools().render(chart), encoding="utf-8")
