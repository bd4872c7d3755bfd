-- A task costs what is written for it, and most of that is entries of indexes.

-- Each move of a task writes an entry into every index that it is in. What is dispatched was in three beside those of all
-- tasks and is in one now, its queue's: there are never more of them than a thousand or so, so that those of a job or a
-- tenant are found by looking at them all.
drop index task_lease;
create index task_running on task (lease_until) where state = 'running';
drop index task_waiting;
create index task_waiting on task (job_id, rank) where state in ('delayed', 'queued');

-- By two indexes, which one condition over both states would not find.
create view task_in_flight with (security_invoker = true) as
  select id, tenant_id, job_id, step, pool, state, cost_ms, lease_until from task where state = 'dispatched'
  union all
  select id, tenant_id, job_id, step, pool, state, cost_ms, lease_until from task where state = 'running';
grant select on task_in_flight to millrace_system;

create or replace function requeue_expired(p_limit integer) returns integer
language plpgsql
set enable_seqscan = off set enable_bitmapscan = off set jit = off
as $$
declare
  moved integer;
begin
  update task t set state = 'queued', lease_until = null
  where t.id = any(array(
    select q.id from task q where q.state = 'dispatched' and q.lease_until < now() limit p_limit for update skip locked));
  get diagnostics moved = row_count;
  return moved;
end $$;

-- "job_id + 0" keeps the planner from looking for the dispatched among all tasks of a job.
create or replace function cancel_idle_tasks(p_jobs bigint[], p_limit integer)
returns table (job_id bigint, step text, count integer)
language plpgsql
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set enable_hashjoin = off set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
begin
  return query
    with gone as (
      update task t set state = 'cancelled', lease_until = null, finished_at = now()
      where t.id = any(array(
        select i.id from (
          select w.id from (select q.id from task q where q.state = 'dispatched' and q.job_id + 0 = any(p_jobs)
            limit p_limit for update skip locked) w
          union all
          select k.id from unnest(p_jobs) as j(id) cross join lateral (
            select w.id from (select q.id from task q where q.job_id = j.id and q.state in ('delayed', 'queued')
              limit p_limit for update skip locked) w
            union all
            select h.id from (select q.id from task q where q.job_id = j.id and q.state = 'blocked'
              limit p_limit for update skip locked) h) k) i
        limit p_limit))
      returning t.job_id, t.step
    )
    select g.job_id, g.step, count(*)::integer from gone g group by g.job_id, g.step;
end $$;

create or replace function hold_tasks(p_job bigint, p_limit integer) returns boolean
language plpgsql
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set enable_hashjoin = off set enable_mergejoin = off
set jit = off
as $$
begin
  update task t set state = 'blocked', lease_until = null
  where t.id = any(array(
    select i.id from (
      select w.id from (select q.id from task q where q.job_id = p_job and q.state in ('delayed', 'queued')
        limit p_limit for update skip locked) w
      union all
      select d.id from (select q.id from task q where q.state = 'dispatched' and q.job_id + 0 = p_job
        limit p_limit for update skip locked) d) i
    limit p_limit));
  return exists (select from task q where q.job_id = p_job and q.state in ('delayed', 'queued'))
    or exists (select from task q where q.state = 'dispatched' and q.job_id + 0 = p_job);
end $$;

-- A result is its task's, which its job, step and number name as well as its id, and in the order in which they are read.
alter table task_result drop constraint task_result_pkey;
drop index task_result_job;
alter table task_result add primary key (job_id, step, ordinal);

create or replace function forget_results_of(p_job bigint, p_limit integer) returns integer
language plpgsql
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set jit = off
as $$
declare
  results integer;
  outputs integer;
begin
  delete from task_result where ctid = any(array(
    select ctid from task_result where job_id = p_job limit p_limit for update));
  get diagnostics results = row_count;
  delete from output where id = any(array(select id from output where job_id = p_job limit p_limit - results));
  get diagnostics outputs = row_count;
  return results + outputs;
end $$;
