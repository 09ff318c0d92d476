"""Reads a session's exports with the tools that they are for.

Usage: readers.py FOLDER, which holds parquet/, aiperf/, vllm/ and guidellm/ of one session. Fails
at the first thing that a tool does not accept, or reads otherwise than it was meant.
"""

import importlib.machinery
import json
import math
import sys
import types
from pathlib import Path


def stand_in_for_torch():
    """guidellm's loader of data sets imports torch, which takes gigabytes; its reader of reports
    needs nothing of it."""
    for name in ("torch", "torch.utils", "torch.utils.data", "torch.utils.data.dataloader",
                 "torch.utils.data.dataset"):
        module = types.ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        sys.modules[name] = module
    for module, name in (("dataloader", "DataLoader"), ("dataset", "IterableDataset")):
        generic = type(name, (), {"__class_getitem__": classmethod(lambda cls, _: cls)})
        setattr(sys.modules[f"torch.utils.data.{module}"], name, generic)


def close(found, wanted, what):
    assert math.isclose(found, wanted, rel_tol=1e-6, abs_tol=1e-6), f"{what}: {found}, not {wanted}"


def parquet(folder):
    import duckdb
    import pandas
    import pyarrow.parquet

    requests = pandas.read_parquet(folder / "requests")
    [path] = map(str, folder.glob("requests/host=spark/date=*/*.parquet"))
    counted = duckdb.sql(
        f"select outcome, count(*) as n, median(ttft_ms) as ttft from '{path}' group by outcome"
    ).df()
    by_pandas = requests.groupby("outcome")
    for row in counted.itertuples():
        assert row.n == by_pandas.size()[row.outcome]
        close(row.ttft, by_pandas["ttft_ms"].median()[row.outcome], "median ttft")
    schema = pyarrow.parquet.read_schema(path)
    assert schema.field("ttft_ms").metadata[b"unit"] == b"ms"
    # A request that failed has no end-to-end latency: null, not 0.
    assert requests.loc[requests.outcome != "ok", "e2e_ms"].isna().all()
    [tokens] = map(str, folder.glob("tokens/host=spark/date=*/*.parquet"))
    alone = duckdb.sql(
        f"select count(*) from '{tokens}' t anti join '{path}' r using (run, request)"
    ).fetchall()
    assert alone == [(0,)], f"{alone} chunks without a request"
    telemetry = pandas.read_parquet(folder / "telemetry")
    assert len(telemetry) > 0 and telemetry["t_ns"].dtype == "int64"
    return requests


def lab(folder, requests):
    """Three hosts' sessions, read in place as one table, by host and by date."""
    import duckdb

    def table(name):
        files = f"{folder}/{name}/**/*.parquet"
        return f"read_parquet('{files}', hive_partitioning = true, union_by_name = true)"

    by_host = duckdb.sql(
        f"""
        select host, date, count(*) as n, median(ttft_ms) as ttft, min(sent_utc) as first,
               any_value(device_model) as device_model
        from {table("requests")} as requests join {table("runs")} as runs using (host, date, session, run)
        group by all order by host
        """
    ).df()
    assert list(by_host.host) == ["spark", "spark-2", "spark-3"], by_host
    days = [str(date)[:10] for date in by_host.date]
    assert days[0] == days[1] < days[2], days
    assert (by_host.n == len(requests)).all(), by_host
    for row in by_host.itertuples():
        close(row.ttft, requests.ttft_ms.median(), "median ttft")
        # The day of the partition is the day in UTC of what it holds.
        assert str(row.first)[:10] == str(row.date)[:10], row
    one = duckdb.sql(f"select count(*) from {table('telemetry')} where host = 'spark-3'").fetchall()
    assert one[0][0] > 0


def aiperf(folder, requests):
    from aiperf.common.models.record_models import MetricRecordInfo

    read = 0
    for path in sorted(folder.glob("*/profile_export.jsonl")):
        rows = requests[requests.run == path.parent.name].set_index("request")
        for line in path.read_text().splitlines():
            record = MetricRecordInfo.model_validate_json(line)
            row = rows.loc[record.metadata.session_num]
            assert (record.error is None) == (row.outcome in ("ok", "unfinished"))
            if "time_to_first_token" in record.metrics:
                close(record.metrics["time_to_first_token"].value, row.ttft_ms, "ttft")
            read += 1
    assert read == len(requests), f"{read} of {len(requests)} records"


# What `vllm bench serve --save-result --save-detailed` documents; it has no reader of its own.
VLLM_NUMBERS = [
    "duration", "completed", "failed", "total_input_tokens", "total_output_tokens",
    "request_throughput", "output_throughput",
    *(f"{of}_{what}_ms" for of in ("mean", "median", "std", "p99")
      for what in ("ttft", "tpot", "itl", "e2el")),
]
VLLM_ARRAYS = ["input_lens", "output_lens", "ttfts", "itls", "start_times", "errors"]


def vllm(folder, requests):
    for path in sorted(folder.glob("*.json")):
        result = json.loads(path.read_text())
        for name in VLLM_NUMBERS:
            assert isinstance(result[name], (int, float)), f"{path.name}: {name}"
        rows = requests[(requests.run == path.stem) & (requests.stage == "measure")]
        for name in VLLM_ARRAYS:
            assert len(result[name]) == result["num_prompts"] == len(rows), f"{path.name}: {name}"
        ok = rows[rows.outcome == "ok"]
        close(result["p99_ttft_ms"], ok.ttft_ms.quantile(0.99), "p99 ttft")
        close(result["mean_e2el_ms"], ok.e2e_ms.mean(), "mean e2el")


def guidellm(folder, requests):
    stand_in_for_torch()
    from guidellm.benchmark.schemas.report import GenerativeBenchmarksReport
    from guidellm.schemas import StatusDistributionSummary as Summary

    report = GenerativeBenchmarksReport.load_file(folder)
    assert len(report.benchmarks) == requests.run.nunique()
    for benchmark in report.benchmarks:
        rows = requests[(requests.run == benchmark.config.id_) & (requests.stage == "measure")]
        assert benchmark.metrics.request_totals.total == len(rows)
        ok = benchmark.requests.successful
        assert len(ok) == (rows.outcome == "ok").sum()
        # What guidellm itself makes of the requests must be what the file says.
        own = {
            "request_latency": lambda it: it.request_latency,
            "prompt_token_count": lambda it: it.prompt_tokens,
            "output_token_count": lambda it: it.output_tokens,
            "total_token_count": lambda it: it.total_tokens,
            "request_streaming_iterations_count": lambda it: it.info.timings.request_iterations,
            "time_to_first_token_ms": lambda it: it.time_to_first_token_ms,
            "time_to_first_output_token_ms": lambda it: it.time_to_first_output_token_ms,
            "time_per_output_token_ms": lambda it: (it.time_per_output_token_ms, it.output_tokens),
            "inter_token_latency_ms": lambda it: (it.inter_token_latency_ms, it.output_tokens - 1),
        }
        for name, of in own.items():
            wanted = Summary.from_values_function(of, successful=ok, incomplete=[], errored=[])
            alike(getattr(benchmark.metrics, name).successful, wanted.successful, name)
        wanted = Summary.rate_distribution_from_timings_function(
            lambda it: it.request_end_time, successful=ok, incomplete=[], errored=[],
            start_time=benchmark.start_time, end_time=benchmark.end_time,
        )
        name = "requests_per_second"
        alike(getattr(benchmark.metrics, name).successful, wanted.successful, name)


def alike(found, wanted, name):
    """Stamps are seconds since 1970 as doubles: a quarter of a microsecond is lost in each."""
    assert found.count == wanted.count, f"{name}: {found.count} of {wanted.count}"
    for field in ("mean", "median", "min", "max", "std_dev"):
        a, b = getattr(found, field), getattr(wanted, field)
        assert math.isclose(a, b, rel_tol=1e-3, abs_tol=2e-3), f"{name} {field}: {a}, not {b}"
    for percentile in ("p10", "p90", "p99"):
        a, b = getattr(found.percentiles, percentile), getattr(wanted.percentiles, percentile)
        assert math.isclose(a, b, rel_tol=1e-3, abs_tol=2e-3), f"{name} {percentile}: {a}, not {b}"


def main(root):
    requests = parquet(root / "parquet")
    lab(root / "lab", requests)
    aiperf(root / "aiperf", requests)
    vllm(root / "vllm", requests)
    guidellm(root / "guidellm", requests)
    print(f"read {len(requests)} requests in every form")


main(Path(sys.argv[1]))
