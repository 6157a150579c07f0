"""Errors of object stores and of the network to them: what is wrong, and how to fix it.

Arrow gives an OSError with the words of the store's own library; they are matched here, and never shown whole, because
some hold addresses with signatures.
"""

import os
import re
from dataclasses import dataclass

from pipeline.errors import DataError, MissingInputError, PipelineError, StorageError
from pipeline.names import shown

KEPT = "finished work is kept"
VANISHED = f"was listed, but no longer exists: run `dvc repro` again once nothing writes to the source; {KEPT}"
_AGAIN = f"then run the command again; {KEPT}"


@dataclass(frozen=True)
class Cause:
    """A cause of errors, recognised by the words of stores' libraries, with its message and the next step."""

    pattern: re.Pattern[str]
    words: str
    step: str
    error: type[PipelineError] = StorageError


def _cause(pattern: str, words: str, step: str, error: type[PipelineError] = StorageError) -> Cause:
    return Cause(re.compile(pattern, re.IGNORECASE), words, step, error)


# What a step names, by the scheme of the URL.
_SETTINGS = {
    "s3": ("AWS_ENDPOINT_URL", "AWS_PROFILE, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, ~/.aws/credentials"),
    "gs": ("STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS, gcloud auth application-default login"),
    "abfs": ("AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN, az login"),
}
# The first that matches. Where a store says only 403, what it says when asked for a list is looked at as well.
CAUSES = (
    _cause(
        r"no_?such_?bucket|bucket does not exist|container ?(does )?not ?(found|exist)",
        "the bucket does not exist",
        "Correct the path under `sources` in params.yaml, or name the service that has it ({endpoint})",
        MissingInputError,
    ),
    _cause(
        r"expired_?token|token (has|is) expired|token included in the request is expired",
        "the credentials have expired",
        "Get new ones ({credentials})",
    ),
    _cause(
        r"invalid_?access_?key|invalid_?client_?token|access key id you provided does not exist",
        "the store does not know the access key",
        "Correct the credentials ({credentials})",
    ),
    _cause(
        r"signature_?does_?not_?match|signature we calculated|AuthenticationFailed",
        "the secret key does not match the access key",
        "Correct the credentials ({credentials})",
    ),
    _cause(
        r"request_?time_?too_?skewed|request time and the current time",
        "this machine's clock differs from the store's by too much",
        "Set the clock",
    ),
    _cause(
        r"invalid_?object_?state|storage class|archived",
        "the object is archived (as in Glacier), so it cannot be read directly",
        "Restore it, or leave it out (`exclude`)",
    ),
    _cause(
        r"no such credential|oauth2 access token|DefaultAzureCredential|invalid authentication"
        r"|could not (create|find|load)[^.]*credential",
        "this machine has no credentials for it",
        "Log in, or name some ({credentials})",
    ),
    _cause(
        r"access_?denied|status 403|permission_?denied|\b403\b|forbidden|authorization|\b401\b|unauthori[sz]ed",
        "access is denied (403)",
        "Allow these credentials to list the bucket and to read its objects, choose others ({credentials}), or "
        "leave the object out (`exclude`)",
    ),
    _cause(
        r"permanent_?redirect|status 301|wrong region|region.*(wrong|expecting)|authorization_?header_?malformed",
        "the bucket is in another region",
        "Set AWS_REGION to its region",
    ),
    _cause(
        r"slow_?down|throttl|status (503|429)|service_?unavailable|too_?many_?requests|reduce your request rate"
        r"|resource_?exhausted|server_?busy|failed to flush response stream|\b(429|503)\b|\bunavailable\b",
        "the store asks to slow down or is not available (503), after several tries",
        "Wait a while, or use fewer workers (--workers)",
    ),
    _cause(
        r"internal_?(failure|error)|status 5\d\d|\b50[0-9]\b",
        "the store reports an internal error, after several tries",
        "Wait a while",
    ),
    _cause(
        r"curlcode: 6\b|could not resolve|name or service not known|failed to resolve",
        "its host is not found: there is no network, or the host name is wrong",
        "Connect to the network, or correct {endpoint}",
    ),
    _cause(
        r"curlcode: (28)\b|timeout|timed out|too slow|deadline",
        "the connection is too slow or has stopped, after several tries",
        "Check the network",
    ),
    _cause(
        r"curlcode: (35|51|53|54|58|59|60|64|66|77|80|83|90|91)\b|ssl|certificate",
        "no secure connection (TLS) is possible",
        "Check the certificates of this machine and of the store, and whether {endpoint} begins with http or https",
    ),
    _cause(
        r"network_connection|curlcode: \d+|could not connect|connection (refused|reset)|failed to connect|transport",
        "the connection fails, after several tries",
        "Check the network and {endpoint}",
    ),
)
_GONE = re.compile(r"resource_not_found|no_?such_?key|blob_?not_?found|no such file or directory", re.IGNORECASE)
# A 403 or 400 without a reason, as HEAD gives it.
VAGUE = re.compile(r"access_denied|status (400|403|301)", re.IGNORECASE)
MAX_WORDS = 300


def object_error(place: object, error: OSError, more: str = "") -> PipelineError:
    """The error for what a store refused.

    Args:
        place: the URL of the object or prefix.
        more: what the store said when it was asked once more, in another way.
    """
    if isinstance(error, FileNotFoundError) or _GONE.search(str(error)):
        return MissingInputError(f"{place} {VANISHED}")
    said = f"{more} {error}"
    cause = next((one for one in CAUSES if one.pattern.search(said)), None)
    if cause is None:
        return StorageError(f"{place}: {_without_secrets(said)}. Fix the cause, {_AGAIN}")
    endpoint, credentials = _SETTINGS[str(place).partition(":")[0].replace("abfss", "abfs")]
    step = cause.step.format(endpoint=endpoint, credentials=credentials)
    return cause.error(f"{place}: {cause.words}. {step}, {_AGAIN}")


def changed(place: object) -> DataError:
    """The error for an object that has changed since it was listed."""
    return DataError(
        f"{place} has changed since it was listed: run `dvc repro` again once nothing writes to the source; {KEPT}"
    )


def too_slow(place: object, seconds: int, size: int) -> StorageError:
    """The error for an object that does not arrive in time."""
    return StorageError(
        f"{place}: {size:,} bytes did not arrive within {seconds} seconds. Check the network, or use fewer workers "
        f"(--workers), {_AGAIN}"
    )


def _without_secrets(text: str) -> str:
    """The beginning of a text, without what stands behind a ? and without the values of variables that hold keys."""
    for name, value in os.environ.items():
        if len(value) > 3 and re.search(r"KEY|SECRET|TOKEN|PASSWORD|CONNECTION_STRING", name):
            text = text.replace(value, "…")
    return shown(re.sub(r"\?\S+", "?…", text).strip(), most=MAX_WORDS)
