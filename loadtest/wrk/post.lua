-- wrk -t1 -c32 -d10 -s loadtest/wrk/post.lua http://127.0.0.1:8080
-- As get.lua, with the 1 KB of JSON in body.json of the same directory.
local directory = os.getenv("CORPUS") or "."
local requests = {}
local next_request = 0

function init()
  local handle = assert(io.open(directory .. "/body.json"))
  local body = handle:read("*a")
  handle:close()
  for line in io.lines(directory .. "/tokens.txt") do
    local account, token = line:match("^(%S+) (%S+)$")
    requests[#requests + 1] = wrk.format("POST", "/accounts/" .. account .. "/orders", {
      ["Host"] = "api.bank.example",
      ["Authorization"] = "Bearer " .. token,
      ["Content-Type"] = "application/json",
    }, body)
  end
  assert(#requests > 0, "no tokens in " .. directory)
end

function request()
  next_request = next_request % #requests + 1
  return requests[next_request]
end

function done(summary, latency, requests)
  io.write(string.format("p99.9 %.2fms\n", latency:percentile(99.9) / 1000))
end
