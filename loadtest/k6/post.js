// k6 run -e TOKENS=tokens.txt -e URL=http://127.0.0.1:8080/payments loadtest/k6/post.js
// An open loop: the rate does not depend on the answers.
import http from 'k6/http';
import { check } from 'k6';

const tokens = open(__ENV.TOKENS || 'tokens.txt').trim().split('\n');
const url = __ENV.URL || 'http://127.0.0.1:8080/payments';
const body = __ENV.BODY
  ? open(__ENV.BODY)
  : JSON.stringify({ from: 'a-1', to: 'DE02120300000000202051', amount: 1250, currency: 'EUR' });

export const options = {
  scenarios: {
    constant: {
      executor: 'constant-arrival-rate',
      rate: Number(__ENV.RATE || 1000),
      duration: __ENV.DURATION || '10s',
      preAllocatedVUs: 50,
    },
  },
  thresholds: { checks: ['rate==1'] },
};

export default function () {
  const token = tokens[__ITER % tokens.length];
  const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
  const answer = http.post(url, body, { headers });
  check(answer, { 'is accepted': (it) => it.status === 200 || it.status === 201 });
}
