"""Checks of ours, for what schemathesis cannot know: how a gateway answers a method that is no route, and which right
requests may be refused because of what was sent before, or how a number was written."""

import itertools
import json
from datetime import datetime, timezone
from decimal import Decimal

import schemathesis
from schemathesis.core.failures import Failure

MOST = Decimal("92233720368547758.07")
LONGEST_DESCRIPTION = 500
LONGEST_NAME = 200
LONGEST_REFERENCE = 200

# Keys that were taken, by operation, and what there is of goods.
used = {}
# The one that is there before the first call.
skus = {"EARL-GREY-100G"}
slots = {"standard"}
orders = []
numbers = itertools.count()


def bare(key):
    return key.strip(" \t").strip('"')


def key_of(request):
    given = request.headers.get("Idempotency-Key", "")
    return bare(given.decode("latin-1") if isinstance(given, bytes) else given)


def body_of(response):
    try:
        return json.loads(response.content)
    except ValueError:
        return {}


def sent(response):
    """The fields that were sent, each number as the text that stood for it."""
    try:
        return json.loads(response.request.body or b"{}", parse_int=Text, parse_float=Text)
    except ValueError:
        return {}


class Text(str):
    """A number, as it was written."""


@schemathesis.hook
def before_call(ctx, case, kwargs):
    """Keys repeat more often than they differ, and whatever comes under a used one is refused for that alone, or is a
    replay. So most of those that were used are made new, and some are left as they are."""
    key = (case.headers or {}).get("Idempotency-Key", "")
    number = next(numbers)
    if bare(key) in used.get(case.operation.label, ()) and number % 8:
        case.headers["Idempotency-Key"] = f"{bare(key)[:200]}-{number}"
    # Whoever brings an order has its id from somewhere else, and no link leads there.
    is_right = case.meta is not None and case.meta.generation.mode.is_positive
    if case.operation.label == "POST /deliveries/{order}/accept" and is_right and orders and number % 4:
        case.path_parameters["order"] = orders[number % len(orders)]


@schemathesis.hook
def after_call(ctx, case, response):
    if response.status_code in (201, 202):
        used.setdefault(case.operation.label, set()).add(key_of(response.request))
    if response.status_code == 201 and case.operation.label == "POST /orders":
        orders.append(body_of(response)["id"])
    if response.status_code == 200 and case.operation.label == "PUT /stock/{sku}":
        skus.add(body_of(response)["sku"])
    if response.status_code == 200 and case.operation.label == "PUT /slots/{id}":
        slots.add(body_of(response)["id"])


def moment(text):
    """The moment that a text stands for, if there is one."""
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError:
        return None


def is_id(text):
    return len(text) == 32 and all(letter in "abcdefghijklmnopqrstuvwxyz234567" for letter in text)


def is_true(code, case, response):
    """Whether a refusal of a request that the schema allows tells the truth."""
    fields = sent(response)
    amount = fields.get("amount", fields.get("price", "")) if isinstance(fields, dict) else ""
    match code:
        case "cursor_malformed":
            return bool(case.query.get("cursor"))
        case "key_used_for_another_request":
            return key_of(response.request) in used.get(case.operation.label, ())
        case "balance_too_large":
            return case.operation.label == "POST /deposits"
        case "description_too_long":
            return len(fields["description"].encode()) > LONGEST_DESCRIPTION
        # The schema speaks of the number; Python writes large ones with an exponent.
        case "amount_has_exponent":
            return isinstance(amount, Text) and "e" in amount.lower()
        case "amount_too_large":
            return Decimal(amount or 0) > MOST or any(line["sku"] in skus for line in fields.get("lines", []))
        case "sku_unknown":
            return any(line["sku"] not in skus for line in fields["lines"])
        case "sku_twice":
            named = [line["sku"] for line in fields["lines"]]
            return len(set(named)) < len(named)
        case "slot_unknown":
            return fields["slot"] not in slots
        case "slot_has_begun":
            return fields["slot"] in slots
        case "name_length":
            return len(fields["name"].encode()) > LONGEST_NAME
        # To a schema 2.0 is a whole number too.
        case "quantity_malformed":
            quantities = [fields.get("quantity", "1"), *(line["quantity"] for line in fields.get("lines", []))]
            return any(not quantity.isdigit() for quantity in quantities)
        case "capacity_malformed":
            return not fields["capacity"].isdigit()
        case "time_malformed":
            moments = [moment(fields[name]) for name in ("from", "to") if name in fields]
            return any(at is None or at.astimezone(timezone.utc).year < 1970 for at in moments)
        case "slot_times_reversed":
            return moment(fields["from"]) >= moment(fields["to"])
        # This server may have no gateway.
        case "cards_not_offered":
            return case.operation.label == "POST /payments" or fields.get("pay_with") == "card"
        case "reference_length":
            return len(fields["reference"].encode()) > LONGEST_REFERENCE
        case "reference_names_order":
            return is_id(fields["reference"])
        case "stock_too_large":
            return case.operation.label == "POST /stock/{sku}/receipts"
    return False


@schemathesis.check
def refused_for_a_reason_beyond_the_schema(ctx, response, case):
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if response.status_code not in (400, 422):
        return
    code = body_of(response).get("code")
    if not is_true(code, case, response):
        raise Failure(
            operation=case.operation.label,
            title="A right request is refused for no good reason",
            message=f"{code}: {response.request.body!r}",
        )


@schemathesis.check
def undeclared_methods_have_no_route(ctx, response, case):
    data = getattr(case.meta and case.meta.phase, "data", None)
    if getattr(getattr(data, "scenario", None), "name", "") != "UNSPECIFIED_HTTP_METHOD":
        return
    # To the gateway it is a payment that is called so.
    if (response.request.method, case.operation.path) == ("GET", "/payments/callback"):
        return
    if response.status_code != 404 or body_of(response) != {"message": "Not Found"}:
        raise Failure(
            operation=case.operation.label,
            title="A method that is no route is not answered as the gateway does",
            message=f"{response.request.method} is answered with {response.status_code}",
        )
