"""A user of the prediction service, for Locust: a prediction every half second to two and a half.

    make locust HOST=http://localhost:8000              the web page, on port 8089
    make locust HOST=http://localhost:8000 HEADLESS=1   1,000 users, 50 more each second

What is sent is drawn from the schema that the service publishes of its model, so this works with any model. A model with
the four features of Iris gets measurements of plausible flowers instead. MODEL names the model where there are several.

An answer counts as a failure when it is wrong, whatever its status: a label that is none of the classes, or a class
without a probability from 0 to 1, or without a score where the model answers scores.

Locust is a closed loop: a user waits for an answer before it asks again, so a slow service is asked less. For latencies
under a load that does not give way, use cmd/loadtest.
"""

import math
import os
import random

from gevent.lock import Semaphore
from locust import HttpUser, between, events, task
from locust.exception import StopTest

IRIS = {
    "sepal_length": (4.0, 8.0),
    "sepal_width": (2.0, 4.5),
    "petal_length": (1.0, 7.0),
    "petal_width": (0.1, 2.5),
}


def draw(feature):
    """Returns a value that the feature's description allows."""
    kind, example = feature["type"], feature.get("example")
    if kind == "boolean":
        return random.random() < 0.5
    if kind == "string":
        if example is None:
            raise ValueError(f"the model has no example of the feature {feature['name']} to send")
        return example
    low, high = feature.get("minimum"), feature.get("maximum")
    if low is None or high is None:
        low, high = (0, 1) if example is None else (example, example)
    if kind == "integer":
        return random.randint(math.ceil(low), math.floor(high))
    if low == high:
        return low
    # Three digits of the range, as measured values have.
    value = round(random.uniform(low, high), 3 - math.ceil(math.log10(high - low)))
    return min(high, max(low, value))


def instance(features):
    """Returns one row to predict, by the names of its features."""
    if {f["name"] for f in features} == set(IRIS):
        return {name: round(random.uniform(*bounds), 1) for name, bounds in IRIS.items()}
    return {f["name"]: draw(f) for f in features}


def fault(model, answer):
    """Returns what is wrong with an answer, or None."""
    if not isinstance(answer, dict):
        return "wrong answer: not the JSON of a prediction"
    if model["task"] == "regression":
        value = answer.get("value")
        values = value if isinstance(value, list) and value else [value]
        numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
        return None if numbers else "wrong answer: no value"
    if answer.get("label") not in model["classes"]:
        return "wrong answer: the label is none of the classes"
    roles = {output["role"] for output in model["schema"]["outputs"]}
    if "probabilities" in roles and not by_class(model, answer.get("probabilities"), 0, 1):
        return "wrong answer: a class has no probability from 0 to 1"
    if "scores" in roles and not by_class(model, answer.get("scores"), -math.inf, math.inf):
        return "wrong answer: a class has no score"
    return None


def by_class(model, numbers, low, high):
    """Tells whether there is a number for each class, from low to high."""
    return (
        isinstance(numbers, dict)
        and numbers.keys() == {str(label) for label in model["classes"]}
        and all(isinstance(n, (int, float)) and low <= n <= high for n in numbers.values())
    )


class PredictionUser(HttpUser):
    """Asks, waits, and asks again."""

    wait_time = between(0.5, 2.5)
    # All users share one description of the model; the first one fetches it.
    model = None
    fetching = Semaphore()

    def on_start(self):
        with self.fetching:
            if PredictionUser.model is None:
                PredictionUser.model = self.describe()

    def describe(self):
        name = os.environ.get("MODEL")
        if not name:
            listed = self.client.get("/models", name="/models").json()["models"]
            if len(listed) != 1:
                raise StopTest(f"the service has {len(listed)} models: say which one by MODEL")
            name = listed[0]["name"]
        return self.client.get(f"/models/{name}", name="/models/{name}").json()

    @task
    def predict(self):
        row = instance(self.model["schema"]["features"])
        with self.client.post("/predict", json=row, name="/predict", catch_response=True) as response:
            if response.status_code != 200:
                response.failure(f"status {response.status_code}" if response.status_code else "no answer")
                return
            try:
                wrong = fault(self.model, response.json())
            except ValueError:
                wrong = "wrong answer: not the JSON of a prediction"
            if wrong:
                response.failure(wrong)


@events.test_stop.add_listener
def forget(**_):
    """The next test may have another host, and another model."""
    PredictionUser.model = None
