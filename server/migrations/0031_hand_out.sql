-- Where everything is one process, what is admitted is claimed in one, for the worker that waits for it: queued -> running,
-- by rank within each order, without the row of an offer in between. Of jobs that may not begin, nothing.

create function start_tasks(
  p_pool smallint, p_lanes smallint[], p_tenants bigint[], p_counts integer[], p_lease_ms integer, p_worker text,
  p_shard smallint, p_owner text, p_epoch bigint)
returns setof task
language plpgsql
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set enable_hashjoin = off set enable_mergejoin = off
set jit = off set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
  perform from scheduler_lease l
    where l.shard = p_shard and l.owner = p_owner and l.epoch = p_epoch and l.until > clock_timestamp() for share;
  if not found then return; end if;
  return query
    with started as (
      update task t set state = 'running', lease_epoch = t.lease_epoch + 1, attempt = t.attempt + 1, worker = p_worker,
        started_at = now(), finished_at = null, lease_until = clock_timestamp() + p_lease_ms * interval '1 ms'
      where t.id = any(array(
          select s.id from unnest(p_lanes, p_tenants, p_counts) as w(lane, tenant_id, count) cross join lateral
            (select q.id from task q
             where q.state = 'queued' and q.pool = p_pool and q.lane = w.lane and q.tenant_id = w.tenant_id
             order by q.rank limit w.count for update skip locked) s))
        and (select j.state in ('queued', 'running') and j.cancel_requested_at is null from job j where j.id = t.job_id)
      returning t.*
    ), of_tenants as (
      update tenant_schedule s set
        virtual_ms = array[greatest(s.virtual_ms[1], n.lane_0), greatest(s.virtual_ms[2], n.lane_1),
          greatest(s.virtual_ms[3], n.lane_2)],
        starts_from = coalesce(spend_tokens(s.starts_per_second, s.starts_from, n.count), s.starts_from)
      from (select a.tenant_id, count(*) as count, max(a.rank) filter (where a.lane = 0) as lane_0,
          max(a.rank) filter (where a.lane = 1) as lane_1, max(a.rank) filter (where a.lane = 2) as lane_2
        from started a group by a.tenant_id) n
      where s.tenant_id = n.tenant_id
    ), of_pool as (
      update pool_schedule p set starts_from = spend_tokens(p.starts_per_second, p.starts_from, n.count)
      from (select count(*) as count from started) n
      where p.pool = p_pool and p.starts_per_second is not null and n.count > 0
    )
    select * from started;
end $$;
