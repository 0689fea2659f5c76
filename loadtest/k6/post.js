// k6 run -e URL=http://127.0.0.1:8080 -e CORPUS=/path/to/corpus loadtest/k6/post.js
// An open loop: the rate does not depend on the answers. CORPUS is the absolute path of what
// `loadtest/compare --corpus DIR` wrote: each line of its tokens.txt is an account and a token of
// the customer who owns it.
import http from 'k6/http';
import { check } from 'k6';
import exec from 'k6/execution';

const tokens = open(`${__ENV.CORPUS}/tokens.txt`)
  .trim()
  .split('\n')
  .map((line) => line.split(' '));
const body = open(`${__ENV.CORPUS}/body.json`);
const url = __ENV.URL || 'http://127.0.0.1:8080';

export const options = {
  scenarios: {
    constant: {
      executor: 'constant-arrival-rate',
      rate: Number(__ENV.RATE || 1000),
      duration: __ENV.DURATION || '10s',
      preAllocatedVUs: 50,
    },
  },
  thresholds: { checks: ['rate==1'], dropped_iterations: ['count==0'] },
};

export default function () {
  const [account, token] = tokens[exec.scenario.iterationInTest % tokens.length];
  const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
  const answer = http.post(`${url}/accounts/${account}/orders`, body, { headers });
  check(answer, { 'is 200': (it) => it.status === 200 });
}
