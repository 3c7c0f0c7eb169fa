"""What schemathesis cannot know. Every check is on; what is explained here is no failure, and nothing else is explained."""

import schemathesis

# No JSON Schema says which passwords are the well-known worst, or that a password must not repeat the name or the address beside it: the
# description says so, and the answer must name this field alone, in these words. Any other refusal of a request that fits is a failure.
IN_NO_SCHEMA = {
    "is one of the first that anybody would guess",
    "must not be the username or the address",
}

# Nor that of two members, of which each may be null, one must be there or one alone: the descriptions say so.
OF_TWO = {
    "must have either recipient or trace",
    "must not be there beside type",
    "must be from 1 to 1000, of a type or a domain",
}


@schemathesis.hook
def filter_failure(context, failure, case, response):
    if type(failure).__name__ == "AcceptedNegativeData" and response.status_code == 207:
        # A batch is answered mail by mail: the one that does not fit must be among those that were refused.
        return all(result["status"] < 400 for result in response.json()["results"])
    if type(failure).__name__ in {"IgnoredAuth", "MissingHeaderNotRejected"} and "429" in failure.message:
        # Whoever tries tokens that are none is slowed down; the message is about a request of the check's own.
        return False
    if type(failure).__name__ != "RejectedPositiveData" or response.status_code != 422:
        return True
    problem = response.json()
    # The generator sent the same key with another registration before: a schema knows one request, not those that came earlier.
    if problem["type"] == "/problems/idempotency-key-reused":
        return not case.headers.get("Idempotency-Key")
    errors = problem.get("errors", [])
    return not (errors and all(is_explained(error) for error in errors))


def is_explained(error):
    if error["detail"] in OF_TWO:
        return error["pointer"] in ("", "/domain", "/at_once")
    if error["pointer"] == "/expires_at":
        # No JSON Schema says what is past; the description does.
        return error["detail"] == "lies in the past: the mail would never be sent"
    return error["pointer"] == "/password" and error["detail"] in IN_NO_SCHEMA
