-- Posts clicks of many leads, and prints what came of it in one line for the bench to read.

local bodies = {}
local next_body = 0

function init(_)
  local topics = { "pricing", "b2b saas growth", "", "fundraising for climate tech", "seo" }
  for number = 1, 1000 do
    local email = string.format("lead.%d@mail.example.com", number * 7919 % 100000)
    local body = string.format('{"email":"%s","expert_username":"expert%d","search_query":"%s"}',
      email, number * 31 % 2000, topics[number % #topics + 1])
    bodies[number] = wrk.format("POST", "/api/lead-clicks", { ["Content-Type"] = "application/json" }, body)
  end
end

function request()
  next_body = next_body % #bodies + 1
  return bodies[next_body]
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format("measured %d %d %d %d %d\n",
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
