"""Runs every fixture under `events/` with `paidonce invoke` and with `sam local invoke` against one running server, and
holds the answers against each other.

A fixture that changes something answers otherwise the second time: 201, then 201 as a replay. So all of them are run
until a whole round has changed no answer, and from then on both ways must answer alike, but for what is drawn anew each
time: a token, the secret of a webhook that was deleted and is set again, and since when it is.

Called as: invoke.py --paidonce FILE --state DIRECTORY --template FILE -- OPTIONS_OF_SAM_LOCAL_INVOKE...
"""

import argparse
import json
import pathlib
import subprocess
import sys

import yaml

MOST_ROUNDS = 5
DRAWN_ANEW = {"token", "secret", "since"}
# Whether a call to the webhook has failed by now.
PASSING = {"failing_since"}


class Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms as nothing; only names are looked for."""


Loader.add_multi_constructor("!", lambda loader, suffix, node: None)


def logical_ids(template: pathlib.Path) -> dict[str, str]:
    resources = yaml.load(template.read_text(), Loader)["Resources"]
    functions = {name: each for name, each in resources.items() if each["Type"] == "AWS::Serverless::Function"}
    return {each["Properties"]["Handler"]: name for name, each in functions.items()}


def comparable(answer: object) -> object:
    if not isinstance(answer, dict) or not answer.get("body"):
        return answer
    try:
        body = json.loads(answer["body"])
    except json.JSONDecodeError:
        return answer
    if not isinstance(body, dict):
        return answer
    body = {name: "drawn anew" if name in DRAWN_ANEW else value for name, value in body.items() if name not in PASSING}
    return {**answer, "body": json.dumps(body)}


def output(command: list[str]) -> object:
    done = subprocess.run(command, capture_output=True, text=True)
    try:
        return comparable(json.loads(done.stdout))
    except json.JSONDecodeError:
        sys.exit(f"error: {' '.join(command)}\nexit code {done.returncode}\n{done.stdout}\n{done.stderr}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--paidonce", required=True)
    parser.add_argument("--state", required=True)
    parser.add_argument("--template", required=True, type=pathlib.Path)
    parser.add_argument("sam", nargs="*")
    arguments = parser.parse_args()
    ids = logical_ids(arguments.template)
    # What shows a refusal comes after what it needs.
    fixtures = sorted(pathlib.Path("events").glob("*.json"), key=lambda path: (path.name.count("."), path.name))
    untouched = set(ids) - {fixture.name.split(".")[0] for fixture in fixtures}
    if untouched:
        sys.exit(f"error: no fixture for {', '.join(sorted(untouched))}")

    def ours(fixture: pathlib.Path) -> object:
        handler = fixture.name.split(".")[0]
        of_state = [arguments.paidonce, "invoke", handler, str(fixture), "--state", arguments.state]
        return output([*of_state, "--answer-only"])

    def theirs(fixture: pathlib.Path) -> object:
        logical_id = ids[fixture.name.split(".")[0]]
        return output(["sam", "local", "invoke", logical_id, "--event", str(fixture), *arguments.sam])

    answers: list[object] = []
    for _ in range(MOST_ROUNDS):
        before, answers = answers, [ours(fixture) for fixture in fixtures]
        if answers == before:
            break
    else:
        sys.exit(f"error: the answers still change after {MOST_ROUNDS} rounds")

    different = 0
    for fixture, expected in zip(fixtures, answers):
        answered = theirs(fixture)
        alike = answered == expected
        different += not alike
        status = answered.get("statusCode", "") if isinstance(answered, dict) else ""
        print(f"{'alike ' if alike else 'DIFFER'}  {fixture.name:50} {status}", flush=True)
        if not alike:
            print(f"  paidonce invoke: {json.dumps(expected)}\n  sam local:       {json.dumps(answered)}")
    print(f"{len(fixtures) - different} of {len(fixtures)} fixtures are answered alike")
    sys.exit(1 if different else 0)


main()
