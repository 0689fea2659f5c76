-- wrk -t1 -c32 -d10 -s loadtest/wrk/get.lua http://127.0.0.1:8080
-- The directory CORPUS is what `loadtest/compare --corpus DIR` wrote: each line of its tokens.txt is
-- an account and a token of the customer who owns it. Every answer has to be 200.
local file = (os.getenv("CORPUS") or ".") .. "/tokens.txt"
local requests = {}
local next_request = 0

function init()
  for line in io.lines(file) do
    local account, token = line:match("^(%S+) (%S+)$")
    requests[#requests + 1] = wrk.format("GET", "/accounts/" .. account .. "/balances", {
      ["Host"] = "api.bank.example",
      ["Authorization"] = "Bearer " .. token,
    })
  end
  assert(#requests > 0, "no tokens in " .. file)
end

function request()
  next_request = next_request % #requests + 1
  return requests[next_request]
end

function done(summary, latency, requests)
  io.write(string.format("p99.9 %.2fms\n", latency:percentile(99.9) / 1000))
end
