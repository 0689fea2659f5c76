-- wrk -t1 -c32 -d10 -s loadtest/wrk/get.lua http://127.0.0.1:8080
-- Tokens, one a line, come from the file named by TOKENS; the path from REQUEST_PATH.
local file = os.getenv("TOKENS") or "tokens.txt"
local path = os.getenv("REQUEST_PATH") or "/accounts/a-1/balances"
local tokens = {}
for line in io.lines(file) do
  tokens[#tokens + 1] = line
end
local next_token = 0

function request()
  next_token = next_token % #tokens + 1
  return wrk.format("GET", path, { ["Authorization"] = "Bearer " .. tokens[next_token] })
end
