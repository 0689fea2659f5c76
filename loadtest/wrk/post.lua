-- wrk -t1 -c32 -d10 -s loadtest/wrk/post.lua http://127.0.0.1:8080
-- Tokens, one a line, come from the file named by TOKENS, the JSON body from the file named by BODY.
local file = os.getenv("TOKENS") or "tokens.txt"
local path = os.getenv("REQUEST_PATH") or "/payments"
local body = '{"from":"a-1","to":"DE02120300000000202051","amount":1250,"currency":"EUR"}'
if os.getenv("BODY") then
  local handle = assert(io.open(os.getenv("BODY")))
  body = handle:read("*a")
  handle:close()
end
local tokens = {}
for line in io.lines(file) do
  tokens[#tokens + 1] = line
end
local next_token = 0

function request()
  next_token = next_token % #tokens + 1
  return wrk.format("POST", path, {
    ["Authorization"] = "Bearer " .. tokens[next_token],
    ["Content-Type"] = "application/json",
  }, body)
end
