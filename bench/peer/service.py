"""The service that Tepal is compared with: FastAPI and scikit-learn, with OpenTelemetry and JSON logs.

It is written for the comparison, after a common description of such a service: a model from joblib behind /predict,
/live_check and /ready_check, a pandas frame for scikit-learn, handlers that are plain functions, spans by FastAPI's
instrumentation through a batch processor, and a JSON line with trace_id and span_id for each prediction. The choices left
open are the faster ones: one predict_proba for label and probabilities, no middleware but that of the spans, uvloop and
httptools, and no access log of uvicorn beside the lines of its own. PEER_LEAN=1 is how far it goes with care: NumPy
alone, and answers on the event loop.

    PEER_MODEL=forest.joblib uvicorn service:app --no-access-log

The OTEL_* variables say where spans go and how many are sampled.
"""

import json
import logging
import os
import sys
import time

import joblib
import numpy
from fastapi import FastAPI, Response
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from pydantic import BaseModel


class JSONFormatter(logging.Formatter):
    """Writes a record as one JSON object, with the ids of the span that it was made in."""

    def format(self, record):
        """Returns the line."""
        span = trace.get_current_span().get_span_context()
        line = {
            "time": self.formatTime(record),
            "severity": record.levelname,
            "message": record.getMessage(),
            "trace_id": f"{span.trace_id:032x}",
            "span_id": f"{span.span_id:016x}",
        }
        line.update(getattr(record, "fields", {}))
        return json.dumps(line)


class Flower(BaseModel):
    """An instance."""

    sepal_length: float
    sepal_width: float
    petal_length: float
    petal_width: float


class Prediction(BaseModel):
    """An answer: the likeliest class, and the probability of each."""

    label: str
    probabilities: dict[str, float]


def make_logger():
    """Returns a logger of JSON lines on standard output."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JSONFormatter())
    made = logging.getLogger("service")
    made.addHandler(handler)
    made.setLevel(logging.INFO)
    return made


logger = make_logger()
model = joblib.load(os.environ["PEER_MODEL"])
classes = [str(name) for name in model.classes_]
app = FastAPI()


@app.get("/live_check")
def live_check():
    """Says that the process is alive."""
    return {"status": "alive"}


@app.get("/ready_check")
def ready_check():
    """Says whether there is a model."""
    return {"status": "ready"} if model is not None else Response(status_code=503)


if os.environ.get("PEER_LEAN"):
    del model.feature_names_in_  # or it would warn that an array has no names

    def table(flower):
        """Returns what the model takes."""
        return numpy.array([[flower.sepal_length, flower.sepal_width, flower.petal_length, flower.petal_width]])

else:
    import pandas

    def table(flower):
        """Returns what the model takes."""
        return pandas.DataFrame([flower.model_dump()])


def predict(flower: Flower) -> Prediction:
    """Answers one instance, and writes a line of it."""
    start = time.perf_counter()
    scores = model.predict_proba(table(flower))[0].tolist()
    label = classes[scores.index(max(scores))]
    fields = {"path": "/predict", "label": label, "latency_ms": round(1000 * (time.perf_counter() - start), 3)}
    logger.info("prediction", extra={"fields": fields})
    return Prediction(label=label, probabilities=dict(zip(classes, scores)))


async def predict_inline(flower: Flower) -> Prediction:
    """Answers on the event loop, without the thread that FastAPI gives a plain function."""
    return predict(flower)


app.post("/predict")(predict_inline if os.environ.get("PEER_LEAN") else predict)

# Without a collector the exporter would warn for each batch.
if os.environ.get("OTEL_TRACES_EXPORTER") != "none":
    trace.set_tracer_provider(TracerProvider())
    trace.get_tracer_provider().add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
FastAPIInstrumentor.instrument_app(app)
