"""object_errors: what stores and networks refuse, by name, with the next step, and without secrets."""

import pytest

from pipeline.errors import MissingInputError, PipelineError, StorageError
from pipeline.sources.object_errors import object_error

HEAD = "When reading information for key 'a' in bucket 'b': "


@pytest.mark.parametrize(
    ("error", "more", "kind", "words", "step"),
    [
        (OSError("AWS Error NO_SUCH_BUCKET during ListObjectsV2"), "", MissingInputError, "does not exist", "sources"),
        (FileNotFoundError(2, "No such file"), "", MissingInputError, "no longer exists", "dvc repro"),
        (
            OSError("AWS Error RESOURCE_NOT_FOUND during GetObject"),
            "",
            MissingInputError,
            "no longer exists",
            "dvc repro",
        ),
        (OSError(f"{HEAD}AWS Error ACCESS_DENIED"), "", StorageError, "access is denied", "AWS_PROFILE"),
        (OSError(f"{HEAD}AWS Error ACCESS_DENIED"), "ExpiredToken", StorageError, "have expired", "Get new ones"),
        (
            OSError(f"{HEAD}AWS Error UNKNOWN (HTTP status 400)"),
            "InvalidAccessKeyId",
            StorageError,
            "not know",
            "KEY_ID",
        ),
        (OSError("AWS Error SIGNATURE_DOES_NOT_MATCH"), "", StorageError, "does not match", "AWS_SECRET_ACCESS_KEY"),
        (OSError("RequestTimeTooSkewed"), "", StorageError, "clock", "Set the clock"),
        (OSError("InvalidObjectState: storage class"), "", StorageError, "archived", "Restore it"),
        (OSError("AWS Error UNKNOWN (HTTP status 301)"), "", StorageError, "another region", "AWS_REGION"),
        (OSError("AWS Error UNKNOWN (HTTP status 503)"), "", StorageError, "slow down", "--workers"),
        (OSError("AWS Error SERVICE_UNAVAILABLE"), "", StorageError, "slow down", "Wait"),
        (OSError("AWS Error INTERNAL_FAILURE"), "", StorageError, "an internal error", "Wait"),
        (
            OSError("NETWORK_CONNECTION curlCode: 6, Could not"),
            "",
            StorageError,
            "host is not found",
            "AWS_ENDPOINT_URL",
        ),
        (OSError("NETWORK_CONNECTION curlCode: 7, Could"), "", StorageError, "connection fails", "AWS_ENDPOINT_URL"),
        (OSError("NETWORK_CONNECTION curlCode: 28, Timeout"), "", StorageError, "too slow or has stopped", "network"),
        (OSError("NETWORK_CONNECTION curlCode: 60, SSL"), "", StorageError, "TLS", "certificates"),
        (OSError("google::cloud::Status(PERMISSION_DENIED: x)"), "", StorageError, "access is denied", "exclude"),
        (OSError("UNAVAILABLE: Could not create a OAuth2 access token"), "", StorageError, "no credentials", "Log in"),
        (OSError("google::cloud::Status(UNAVAILABLE: x)"), "", StorageError, "slow down", "Wait"),
        (OSError("Azure Error: [ContainerNotFound] 404"), "", MissingInputError, "does not exist", "params.yaml"),
        (OSError("Azure Error: [AuthorizationFailure] 403"), "", StorageError, "access is denied", "exclude"),
        (OSError("Azure Error: [ServerBusy] 503"), "", StorageError, "slow down", "Wait"),
    ],
)
def test_each_cause_has_its_words_and_its_next_step(
    error: OSError, more: str, kind: type[PipelineError], words: str, step: str
) -> None:
    made = object_error("s3://b/a", error, more)
    assert type(made) is kind
    assert str(made).startswith("s3://b/a")
    assert words in str(made)
    assert step in str(made)
    assert str(made).endswith("finished work is kept")


def test_an_unknown_cause_is_shown_without_signatures_and_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    error = OSError("odd thing at https://host/a?sv=1&sig=SIGNATURE for wJalrXUtnFEMI " + "x" * 1000)
    message = str(object_error("s3://b/a", error))
    assert "odd thing at https://host/a?…" in message
    assert "SIGNATURE" not in message
    assert "wJalrXUtnFEMI" not in message
    assert len(message) < 500


@pytest.mark.parametrize(
    ("url", "setting"),
    [("s3://b/a", "AWS_PROFILE"), ("gs://b/a", "GOOGLE_APPL"), ("abfss://b@c/a", "AZURE_STORAGE_KEY")],
)
def test_the_next_step_names_the_settings_of_the_store(url: str, setting: str) -> None:
    assert setting in str(object_error(url, OSError("AWS Error ACCESS_DENIED")))
