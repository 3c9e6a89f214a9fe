"""RFC 9457 problems: one catalogue of stable codes for HTTP errors and failed jobs alike."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

# code → (HTTP status when it is answered to a request, title). A job that fails carries the same object in `error`.
PROBLEMS: dict[str, tuple[int, str]] = {
    # the request
    "invalid_json": (400, "The body is not JSON"),
    "multipart_invalid": (400, "The form cannot be read"),
    "invalid_request": (422, "The request does not fit the schema"),
    "request_too_large": (413, "The request body is too large"),
    "unsupported_media_type": (415, "This content type is not accepted here"),
    "not_acceptable": (406, "No representation fits the Accept header"),
    "idempotency_key_invalid": (400, "The Idempotency-Key is not usable"),
    "idempotency_mismatch": (422, "The Idempotency-Key was used with another request"),
    "invalid_cursor": (400, "The cursor was not issued by this service"),
    "not_found": (404, "There is nothing here"),
    "invalid_http": (400, "This is not HTTP/1.1"),
    "headers_too_large": (431, "The headers are too large"),
    "request_timeout": (408, "The request came too slowly"),
    "too_many_connections": (503, "Too many connections are open"),
    "method_not_allowed": (405, "This method is not allowed here"),
    # who asks
    "unauthorized": (401, "A valid API key is required"),
    "insufficient_scope": (403, "The API key lacks the scope"),
    "key_in_url": (400, "API keys do not belong into addresses"),
    "too_many_failures": (429, "Too many requests without a valid key"),
    "cross_site_request": (403, "The request comes from another site's page"),
    # artifacts
    "empty_file": (422, "The file is empty"),
    "artifact_too_large": (413, "The file is larger than the limit"),
    "insufficient_storage": (507, "The service is out of disk space"),
    "invalid_upload": (400, "The upload request is not usable"),
    "tus_version_unsupported": (412, "This version of the tus protocol is not spoken here"),
    "upload_not_found": (404, "There is no such upload"),
    "upload_expired": (410, "The upload has expired"),
    "upload_locked": (423, "Another request is sending to this upload"),
    "offset_conflict": (409, "The upload stands at another offset"),
    "chunk_checksum_mismatch": (460, "The bytes of this request do not match their checksum"),
    "checksum_mismatch": (422, "The bytes do not match the digest"),
    "upload_incomplete": (400, "The upload ended early"),
    "format_unsupported": (415, "The file format is not accepted"),
    "pickle_forbidden": (415, "Pickled objects are not accepted"),
    "artifact_not_found": (404, "There is no such artifact"),
    "artifact_in_use": (409, "The artifact is an input of an unfinished analysis"),
    # the content of a file
    "corrupt_archive": (422, "The archive is damaged"),
    "decompressed_too_large": (422, "The archive unpacks to more than the limit"),
    "too_many_members": (422, "The archive has too many members"),
    "unsafe_member_name": (422, "A member of the archive has an unsafe name"),
    "duplicate_member": (422, "Two arrays of the file have the same name"),
    "compression_unsupported": (422, "The archive uses a compression that is not accepted"),
    "invalid_array": (422, "An array of the file is damaged"),
    "object_dtype": (422, "An array holds Python objects"),
    "dtype_unsupported": (422, "An array has a type that is not accepted"),
    "invalid_safetensors": (422, "The safetensors file is damaged"),
    "header_too_large": (422, "The header of the file is larger than the limit"),
    "labels_missing": (422, "The file has no `labels`"),
    "labels_invalid": (422, "The labels cannot be used"),
    "label_length_mismatch": (422, "A layer has another number of rows than there are labels"),
    "layers_invalid": (422, "The list of layers does not fit the file"),
    "no_layers": (422, "There is no layer to analyse"),
    "too_few_classes": (422, "At least two classes are needed"),
    "too_few_samples": (422, "Every class needs at least two rows"),
    "non_finite": (422, "A layer holds NaN or infinity"),
    "invalid_activations": (422, "The activations cannot be analysed"),
    # the study
    "unknown_layer": (422, "A layer that the request names is not in the inputs"),
    "layer_mismatch": (422, "The inputs do not have the same layers"),
    "class_mismatch": (422, "The inputs do not have the same classes"),
    "model_unsupported": (422, "Not possible for a model reference"),
    "unknown_model": (422, "There is no registered model of that name"),
    "unknown_data": (422, "There is no registered data set of that name"),
    "registry_invalid": (500, "The list of registered models is wrong"),
    "invalid_onnx": (422, "The ONNX file is damaged"),
    "external_data_forbidden": (422, "The ONNX file refers to other files"),
    "operator_unsupported": (422, "The ONNX file uses operators that are not accepted"),
    "precision_unsupported": (422, "There is no arithmetic for the model's data types here"),
    "opset_unsupported": (422, "The ONNX file uses a version of the operators that is not known here"),
    "model_too_large": (413, "The model is larger than the limit"),
    "not_a_model": (422, "The artifact is not a model"),
    "inputs_missing": (422, "The data have no `inputs`"),
    "input_mismatch": (422, "The data do not fit the model's inputs"),
    "weights_unavailable": (424, "The weights of a registered model are not there"),
    "weights_mismatch": (422, "The weights of a registered model are not the registered ones"),
    "data_unavailable": (424, "A registered data set is not there"),
    "library_missing": (424, "A library that the model needs is not installed"),
    "remote_code_forbidden": (422, "The model asks for code of its own"),
    "layer_unusable": (422, "The output of a layer cannot be analysed"),
    "nondeterministic_model": (422, "The model gives other outputs when it is run again"),
    "model_failed": (422, "The model cannot be run"),
    "sandbox_unavailable": (503, "This machine cannot confine a model"),
    "device_unavailable": (422, "The device asked for is not available"),
    # reports of the history, baselines
    "report_too_large": (413, "The report is larger than the limit"),
    "report_invalid": (422, "This is not a report that could have been computed"),
    "report_schema_unsupported": (422, "The report is of a newer schema"),
    "report_blessed": (409, "A baseline names this report"),
    "baseline_not_found": (404, "There is no such baseline"),
    "baseline_changed": (412, "The baseline is not what the request assumes"),
    "precondition_required": (428, "The request must say what it assumes"),
    # the life of a job
    "not_finished": (409, "This has not finished yet"),
    "analysis_failed": (409, "The analysis failed"),
    "analysis_canceled": (409, "The analysis was canceled"),
    "already_finished": (409, "The analysis has already finished"),
    "out_of_memory": (422, "The analysis needs more memory than a worker has"),
    "deadline_exceeded": (422, "The analysis took longer than the limit"),
    "worker_lost": (500, "The worker died while it computed this analysis"),
    "canceled": (409, "The analysis was canceled"),
    "quota_exceeded": (429, "The tenant has used what it may"),
    "job_too_large": (422, "The analysis is too large"),
    "expired": (410, "This has expired"),
    "queue_full": (429, "Too many unfinished analyses"),
    "not_ready": (503, "The service is not ready"),
    "rendering_unavailable": (501, "This form is not offered here"),
    "internal_error": (500, "Something went wrong on our side"),
}

RETRYABLE = frozenset(
    {
        "upload_incomplete",
        "upload_locked",
        "chunk_checksum_mismatch",
        "insufficient_storage",
        "queue_full",
        "quota_exceeded",
        "too_many_failures",
        "request_timeout",
        "too_many_connections",
        "not_ready",
        "internal_error",
        "worker_lost",
    }
)


class FieldError(BaseModel):
    """One field of the request that is wrong."""

    model_config = ConfigDict(frozen=True)

    pointer: str
    message: str


class Problem(BaseModel):
    """An error, as `application/problem+json` (RFC 9457)."""

    model_config = ConfigDict(frozen=True)

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str | None = None
    errors: list[FieldError] | None = None
    retryable: bool = False

    @classmethod
    def of(cls, code: str, detail: str, *, errors: Sequence[FieldError] = (), instance: str | None = None) -> "Problem":
        """Make the problem `code` of the catalogue; `detail` says what to do."""
        status, title = PROBLEMS[code]
        return cls(
            type=f"urn:interlayer:problem:{code}",
            title=title,
            status=status,
            detail=detail,
            code=code,
            instance=instance,
            errors=list(errors) or None,
            retryable=code in RETRYABLE,
        )

    def to_bytes(self) -> bytes:
        """Return the JSON body, without absent members."""
        return self.model_dump_json(exclude_none=True).encode()


class ProblemError(Exception):
    """Raised on both sides of the queue; each edge turns it into its own form of a problem."""

    def __init__(
        self,
        code: str,
        detail: str,
        errors: Sequence[FieldError] = (),
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.problem = Problem.of(code, detail, errors=errors)
        self.headers = dict(headers or {})  # what an answer over HTTP says beside the problem
