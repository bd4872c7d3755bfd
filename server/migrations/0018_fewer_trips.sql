-- Admission moves the virtual time of its tenants itself, which was a transaction of its own after each look.

create or replace function admit_tasks(
  p_pool smallint, p_lanes smallint[], p_tenants bigint[], p_counts integer[], p_lease_ms integer,
  p_shard smallint, p_owner text, p_epoch bigint)
returns table (id bigint, tenant_id bigint, lane smallint, lease_epoch integer, cost_ms integer, rank bigint)
language plpgsql
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set enable_hashjoin = off set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
begin
  perform from scheduler_lease l
    where l.shard = p_shard and l.owner = p_owner and l.epoch = p_epoch and l.until > clock_timestamp() for share;
  if not found then return; end if;
  return query
    with admitted as (
      update task t set state = 'dispatched', lease_epoch = t.lease_epoch + 1,
        lease_until = clock_timestamp() + p_lease_ms * interval '1 ms'
      where t.id = any(array(
        select s.id from unnest(p_lanes, p_tenants, p_counts) as w(lane, tenant_id, count) cross join lateral
          (select q.id from task q
           where q.state = 'queued' and q.pool = p_pool and q.lane = w.lane and q.tenant_id = w.tenant_id
           order by q.rank limit w.count for update skip locked) s))
      returning t.id, t.tenant_id, t.lane, t.lease_epoch, t.cost_ms, t.rank
    ), of_tenants as (
      update tenant_schedule s set
        virtual_ms = array[greatest(s.virtual_ms[1], n.lane_0), greatest(s.virtual_ms[2], n.lane_1),
          greatest(s.virtual_ms[3], n.lane_2)],
        starts_from = coalesce(spend_tokens(s.starts_per_second, s.starts_from, n.count), s.starts_from)
      from (select a.tenant_id, count(*) as count, max(a.rank) filter (where a.lane = 0) as lane_0,
          max(a.rank) filter (where a.lane = 1) as lane_1, max(a.rank) filter (where a.lane = 2) as lane_2
        from admitted a group by a.tenant_id) n
      where s.tenant_id = n.tenant_id
    ), of_pool as (
      update pool_schedule p set starts_from = spend_tokens(p.starts_per_second, p.starts_from, n.count)
      from (select count(*) as count from admitted) n
      where p.pool = p_pool and p.starts_per_second is not null and n.count > 0
    )
    select a.id, a.tenant_id, a.lane, a.lease_epoch, a.cost_ms, a.rank from admitted a;
end $$;
