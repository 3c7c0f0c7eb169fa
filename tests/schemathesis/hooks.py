"""What schemathesis cannot know. Every check is on; two answers to requests that fit are explained here, and nothing else is."""

import schemathesis

# No JSON Schema says which passwords are the well-known worst, or that a password must not repeat the name or the address beside it: the
# description says so, and the answer must name this field alone, in these words. Any other refusal of a request that fits is a failure.
IN_NO_SCHEMA = {
    "is one of the first that anybody would guess",
    "must not be the username or the address",
}


@schemathesis.hook
def filter_failure(context, failure, case, response):
    if type(failure).__name__ != "RejectedPositiveData" or response.status_code != 422:
        return True
    problem = response.json()
    # The generator sent the same key with another registration before: a schema knows one request, not those that came earlier.
    if problem["type"] == "/problems/idempotency-key-reused":
        return not case.headers.get("Idempotency-Key")
    errors = problem.get("errors", [])
    explained = all(error["pointer"] == "/password" and error["detail"] in IN_NO_SCHEMA for error in errors)
    return not (errors and explained)
