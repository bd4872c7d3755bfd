-- How many tasks of a tenant, or of all, may be admitted each second, and the pause of a pool.
--
-- A bucket of tokens (the generic cell rate algorithm): tokens have been coming in since starts_from, in seconds of the
-- epoch, up to what a second brings, one at least. Who admits moves it on. So the bucket outlives its leader, a rate that
-- changes holds from the next look on, and a tenant without a rate costs nothing.

alter table tenant_schedule
  add column starts_per_second double precision check (starts_per_second > 0),
  add column starts_from double precision not null default 0;

create table pool_schedule (
  pool smallint primary key,
  paused boolean not null default false,
  starts_per_second double precision check (starts_per_second > 0),
  starts_from double precision not null default 0
);
grant select, insert, update, delete on pool_schedule to millrace_system;

create function start_tokens(p_per_second double precision, p_from double precision) returns integer
language sql volatile strict
as $$ select floor(least(greatest(1, p_per_second), (extract(epoch from clock_timestamp())::double precision - p_from) * p_per_second)
  + 0.000001)::integer $$;

create function spend_tokens(p_per_second double precision, p_from double precision, p_count bigint) returns double precision
language sql volatile strict
as $$ select greatest(p_from, extract(epoch from clock_timestamp())::double precision - greatest(1, 1 / p_per_second))
  + p_count / p_per_second $$;

-- As before, and takes the tokens of what it admits.
create or replace function admit_tasks(
  p_pool smallint, p_lanes smallint[], p_tenants bigint[], p_counts integer[], p_lease_ms integer,
  p_shard smallint, p_owner text, p_epoch bigint)
returns table (id bigint, tenant_id bigint, lane smallint, lease_epoch integer, cost_ms integer, rank bigint)
language plpgsql
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set enable_hashjoin = off set enable_mergejoin = off
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
      update tenant_schedule s set starts_from = spend_tokens(s.starts_per_second, s.starts_from, n.count)
      from (select a.tenant_id, count(*) as count from admitted a group by a.tenant_id) n
      where s.tenant_id = n.tenant_id and s.starts_per_second is not null
    ), of_pool as (
      update pool_schedule p set starts_from = spend_tokens(p.starts_per_second, p.starts_from, n.count)
      from (select count(*) as count from admitted) n
      where p.pool = p_pool and p.starts_per_second is not null and n.count > 0
    )
    select a.id, a.tenant_id, a.lane, a.lease_epoch, a.cost_ms, a.rank from admitted a;
end $$;
