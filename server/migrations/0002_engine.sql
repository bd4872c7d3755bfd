-- What fair queueing and large fan-outs need, and the statements of admission with their plans pinned.

-- Virtual time of a tenant in each lane: the rank that was admitted last. A new job starts there, so that it does not
-- wait behind a huge one of the same tenant, nor overtake what that one is still owed.
alter table tenant_schedule add column virtual_ms bigint[] not null default '{0,0,0}';
-- Where the next task of the job stands in the virtual time of its tenant.
alter table job add column virtual_ms bigint not null default 0;

-- A step whose tasks are still being created: the last output that has one. They count as pending already.
alter table job_step add column expanded_to bigint;
create index job_step_expanding on job_step (job_id) where expanded_to is not null;

-- Outputs of a step in the order in which they were made: what follows reads them so, a chunk at a time.
create index output_step on output (job_id, step, id);

-- Without statistics, as after a bulk load, or with stale ones, the planner sorts or scans a backlog of a million rows on
-- each admission. Settings of a function hold behind a pooler and in the embedded database, too.

-- Tenants with queued tasks, lane by lane: one step of the index per tenant, whatever the length of its backlog.
create function list_backlog(p_pool smallint, p_limit integer)
returns table (lane smallint, tenant_id bigint, cost_ms integer)
language plpgsql stable
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
begin
  return query
    with recursive head as (
      (select t.lane, t.tenant_id, t.cost_ms from task t where t.state = 'queued' and t.pool = p_pool
       order by t.lane, t.tenant_id, t.rank limit 1)
      union all
      select n.lane, n.tenant_id, n.cost_ms from head h cross join lateral
        (select t.lane, t.tenant_id, t.cost_ms from task t
         where t.state = 'queued' and t.pool = p_pool and (t.lane, t.tenant_id) > (h.lane, h.tenant_id)
         order by t.lane, t.tenant_id, t.rank limit 1) n
    )
    select h.lane, h.tenant_id, h.cost_ms from head h limit p_limit;
end $$;

-- Admits up to so many tasks of each (lane, tenant), in the order of rank, if the caller still leads.
create function admit_tasks(
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
    update task t set state = 'dispatched', lease_epoch = t.lease_epoch + 1,
      lease_until = clock_timestamp() + p_lease_ms * interval '1 ms'
    where t.id = any(array(
      select s.id from unnest(p_lanes, p_tenants, p_counts) as w(lane, tenant_id, count) cross join lateral
        (select q.id from task q
         where q.state = 'queued' and q.pool = p_pool and q.lane = w.lane and q.tenant_id = w.tenant_id
         order by q.rank limit w.count for update skip locked) s))
    returning t.id, t.tenant_id, t.lane, t.lease_epoch, t.cost_ms, t.rank;
end $$;

-- Takes back what was offered and not claimed in its time; no attempt is used.
create function requeue_expired(p_limit integer) returns integer
language plpgsql
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off
as $$
declare
  moved integer;
begin
  update task t set state = 'queued', lease_until = null
  where t.id = any(array(
    select q.id from task q where q.state in ('dispatched', 'running') and q.lease_until < now() and q.state = 'dispatched'
    order by q.lease_until limit p_limit for update skip locked));
  get diagnostics moved = row_count;
  return moved;
end $$;

-- Queues what has waited for its time.
create function promote_delayed(p_limit integer) returns integer
language plpgsql
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off
as $$
declare
  moved integer;
begin
  update task t set state = 'queued'
  where t.id = any(array(
    select q.id from task q where q.state = 'delayed' and q.run_at <= now()
    order by q.run_at limit p_limit for update skip locked));
  get diagnostics moved = row_count;
  return moved;
end $$;
