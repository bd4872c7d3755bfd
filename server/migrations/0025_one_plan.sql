-- Functions that are called for each look of the leader: their plans are made once for all values, since making one takes
-- as long as running it.
alter function admit_tasks(smallint, smallint[], bigint[], integer[], integer, smallint, text, bigint)
  set plan_cache_mode = force_generic_plan;
alter function list_backlog(smallint, integer) set plan_cache_mode = force_generic_plan;
