-- Posts clicks of many leads, and prints what came of it in one line for the bench to read. With the argument `ids` each
-- click has an id of its own and an age, as those of a page have.

local bodies = {}
local next_body = 0
local heads = {}
local next_id = 0
-- The first digits of a UUID of version 7 are a time.
local id_begin = string.format("%08x-0000-7000-8", os.time())

function init(args)
  local topics = { "pricing", "b2b saas growth", "", "fundraising for climate tech", "seo" }
  for number = 1, 1000 do
    local email = string.format("lead.%d@mail.example.com", number * 7919 % 100000)
    local body = string.format('{"email":"%s","expert_username":"expert%d","search_query":"%s"}',
      email, number * 31 % 2000, topics[number % #topics + 1])
    if args[1] == "ids" then
      -- All ids are as long as this one.
      body = body:sub(1, -2) .. ',"age_ms":12,"click_id":"' .. id_begin .. '000-000000000000"}'
    end
    local whole = wrk.format("POST", "/api/lead-clicks", { ["Content-Type"] = "application/json" }, body)
    bodies[number] = whole
    heads[number] = whole:sub(1, -#'000-000000000000"}' - 1)
  end
  if args[1] == "ids" then
    request = request_with_id
  end
end

function request()
  next_body = next_body % #bodies + 1
  return bodies[next_body]
end

function request_with_id()
  next_body = next_body % #bodies + 1
  next_id = next_id + 1
  return heads[next_body] .. string.format('000-%012x"}', next_id)
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format("measured %d %d %d %d %d\n",
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
