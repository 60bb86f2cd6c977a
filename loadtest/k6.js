// The load test for those who use k6. `make k6` runs it, and so does
//
//     k6 run -e HOST=http://localhost:8000 -e RATE=500 -e DURATION=1m -e MAX_P99=20 loadtest/k6.js
//
// The rate is held whether or not answers come, and the gates are those of cmd/loadtest, as thresholds: k6 exits with 99
// when one breaks. Its latencies begin when a request is sent. What it could not send in time it counts as
// dropped_iterations instead, of which none are allowed here.
import http from 'k6/http';
import { check } from 'k6';
import { Rate } from 'k6/metrics';

const host = (__ENV.HOST || 'http://localhost:8000').replace(/\/+$/, '');
const rate = Number(__ENV.RATE || 100);
const connections = Number(__ENV.CONNECTIONS || 256);
// In milliseconds; shares from 0 to 1. What is not set is not asked.
const gates = { p95: __ENV.MAX_P95, p99: __ENV.MAX_P99, errors: __ENV.MAX_ERRORS, rate: __ENV.MIN_RATE };

const wrong = new Rate('wrong_answers');

function thresholds() {
  const list = { dropped_iterations: ['count==0'] };
  const latency = [];
  if (gates.p95) latency.push(`p(95)<=${Number(gates.p95)}`);
  if (gates.p99) latency.push(`p(99)<=${Number(gates.p99)}`);
  if (latency.length > 0) list['http_req_duration{name:/predict}'] = latency;
  if (gates.errors) list.wrong_answers = [`rate<=${Number(gates.errors)}`];
  if (gates.rate) list['http_reqs{name:/predict}'] = [`rate>=${Number(gates.rate) * rate}`];
  return list;
}

export const options = {
  scenarios: {
    predict: {
      executor: 'constant-arrival-rate',
      rate,
      timeUnit: '1s',
      duration: __ENV.DURATION || '30s',
      preAllocatedVUs: Math.min(connections, 50),
      maxVUs: connections,
    },
  },
  thresholds: thresholds(),
  summaryTrendStats: ['avg', 'p(50)', 'p(90)', 'p(95)', 'p(99)', 'max'],
};

// The model's own description says what to send and what may come back.
export function setup() {
  let name = __ENV.MODEL;
  if (!name) {
    const models = http.get(`${host}/models`).json('models');
    if (models.length !== 1) throw new Error(`the target serves ${models.length} models: say which one by MODEL`);
    name = models[0].name;
  }
  return http.get(`${host}/models/${encodeURIComponent(name)}`).json();
}

function draw(feature) {
  if (feature.type === 'boolean') return Math.random() < 0.5;
  if (feature.type === 'string') {
    if (feature.example === undefined) throw new Error(`the model has no example of the feature ${feature.name}`);
    return feature.example;
  }
  let { minimum: low, maximum: high } = feature;
  if (low === undefined || high === undefined) {
    [low, high] = feature.example === undefined ? [0, 1] : [feature.example, feature.example];
  }
  if (feature.type === 'integer') return Math.ceil(low) + Math.floor(Math.random() * (Math.floor(high) - Math.ceil(low) + 1));
  // Three digits of the range, as measured values have.
  const scale = high > low ? 10 ** (3 - Math.ceil(Math.log10(high - low))) : 1;
  return Math.min(high, Math.max(low, Math.round((low + Math.random() * (high - low)) * scale) / scale));
}

function isRight(model, response) {
  if (response.status !== 200) return false;
  let answer;
  try {
    answer = response.json();
  } catch {
    return false;
  }
  if (model.task === 'regression') return [answer.value].flat().every(Number.isFinite);
  if (!model.classes.includes(answer.label)) return false;
  const has = (role) => model.schema.outputs.some((output) => output.role === role);
  const byClass = (numbers, right) => model.classes.every((label) => right((numbers || {})[label]));
  return (
    (!has('probabilities') || byClass(answer.probabilities, (p) => Number.isFinite(p) && p >= 0 && p <= 1)) &&
    (!has('scores') || byClass(answer.scores, Number.isFinite))
  );
}

export default function predict(model) {
  const instance = Object.fromEntries(model.schema.features.map((f) => [f.name, draw(f)]));
  const response = http.post(`${host}/predict`, JSON.stringify(instance), {
    headers: { 'Content-Type': 'application/json' },
    tags: { name: '/predict' },
  });
  wrong.add(!check(response, { 'right answer': (r) => isRight(model, r) }));
}
