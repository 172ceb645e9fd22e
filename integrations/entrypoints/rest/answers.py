"""What goes out over REST beside plain JSON: versions of cases as ETags, files that no browser runs."""

from fastapi.responses import JSONResponse, Response

from foundation.idempotency import Answer

_ENDINGS = {"application/pdf": "pdf", "image/jpeg": "jpg", "image/png": "png"}


def versioned(answer: Answer) -> JSONResponse:
    """The answer to a write on a case, with the case's version as ETag.

    Args:
        answer: its body has the case's version as `case_version`, or as `version` if it is the case itself.
    """
    response = answer.response()
    version = answer.body.get("case_version", answer.body.get("version"))
    response.headers["ETag"] = f'"{version}"'
    return response


def handed_out(content: bytes, kind: str, code: str) -> Response:
    """A document of a case, to be saved.

    Args:
        content: a stranger's file.
        kind: its media type, by its content.
        code: what it is called; the name that its sender gave it may be a person's.
    """
    headers = {
        "Content-Disposition": f'attachment; filename="{code}.{_ENDINGS[kind]}"',
        # Shown by nobody's browser as a page of ours.
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }
    return Response(content, media_type=kind, headers=headers)
