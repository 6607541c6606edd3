"""Data Docs: pages that show kept quality results to a person. The JSON results are the evidence, these a convenience.

Great Expectations writes Data Docs only to a local folder and its pages load style sheets from the network; without
one they are plain but complete.
"""

import json
import logging
import os
from datetime import UTC, datetime
from pathlib import Path

from dynatrail.errors import QualityError
from dynatrail.quality import gate

_NOT_KEPT = {
    "exception_message": "Not kept: what Great Expectations says of an exception may quote a value.",
    "exception_traceback": "Not kept.",
}
"""What the pages ask for without looking whether anything was raised; the gate keeps none of it."""


def build(results: Path, site: Path, *, latest: int = 100) -> Path:
    """Build the pages for the kept results below `results` (any `*.json` that `gate.check` recorded).

    Args:
        results: folder of the kept results; a file's name (without `.json`) becomes its run's name.
        site: folder that the pages are written to; what is there of an earlier build is replaced.
        latest: how many results to show, those written last.

    Returns:
        The site's `index.html`.

    Raises:
        QualityError: there is no result below the folder, or one is not what the gate recorded.
    """
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    import great_expectations as gx
    from great_expectations.core.expectation_validation_result import expectationSuiteValidationResultSchema
    from great_expectations.core.run_identifier import RunIdentifier
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.data_context.types.resource_identifiers import (
        ExpectationSuiteIdentifier,
        ValidationResultIdentifier,
    )

    records = sorted(results.rglob("*.json"), key=lambda path: (path.stat().st_mtime, path))[-latest:]
    if not records:
        raise QualityError(f"There is no quality result below {results} yet. Run extract_cloudtrail first.")

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    for name in list(context.get_site_names()):  # the default site lies in a temporary folder
        context.delete_data_docs_site(name)
    store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(site)}
    index = {"class_name": "DefaultSiteIndexBuilder"}
    context.add_data_docs_site(
        "dynatrail", {"class_name": "SiteBuilder", "store_backend": store, "site_index_builder": index}
    )
    for path in sorted(gate.SUITES.glob("*.yaml")):
        context.suites.add(gate.load_suite(path.stem))
    for path in records:
        written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        try:
            document = json.loads(path.read_text())
            key = ValidationResultIdentifier(
                expectation_suite_identifier=ExpectationSuiteIdentifier(document["suite_name"]),
                run_id=RunIdentifier(run_name=path.stem, run_time=written),
                batch_identifier=None,
            )
            document["meta"] |= {"run_id": key.run_id.to_json_dict()}
            for kept in document["results"]:
                kept["exception_info"] = _NOT_KEPT | kept["exception_info"]
            result = expectationSuiteValidationResultSchema.load(document)
        except (ValueError, KeyError, TypeError) as error:
            raise QualityError(
                f"{path} is not a quality result ({type(error).__name__}). Move it out of {results} and run again."
            ) from error
        context.validation_results_store.set(key, result)
    context.build_data_docs(site_names=["dynatrail"])
    return site / "index.html"
