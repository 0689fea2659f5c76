// k6 run -e TOKENS=tokens.txt -e URL=http://127.0.0.1:8080/accounts/a-1/balances loadtest/k6/get.js
// An open loop: the rate does not depend on the answers.
import http from 'k6/http';
import { check } from 'k6';

const tokens = open(__ENV.TOKENS || 'tokens.txt').trim().split('\n');
const url = __ENV.URL || 'http://127.0.0.1:8080/accounts/a-1/balances';

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
  const answer = http.get(url, { headers: { Authorization: `Bearer ${token}` } });
  check(answer, { 'is 200': (it) => it.status === 200 });
}
