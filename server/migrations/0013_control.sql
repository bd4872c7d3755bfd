-- Pausing jobs, and winding up many of them at once.

-- Tasks of a paused job are held: 'blocked', where neither admission nor the promoter meets them, however many they are.
alter table job add column tasks_moving boolean not null default false; -- some are still to be held, or to be let go
create index job_moving on job (id) where tasks_moving;

-- cancel_requested_at tells since when nothing of the job may start and what runs has to stop: since its cancellation was
-- asked for, or since a task died in a pipeline that stops on failure.
drop index job_cancelling;
create index job_winding on job (id) where cancel_requested_at is not null and finished_at is null;

-- In two indexes what stood in one, so that neither a paused job's held tasks nor its others are in the way of looking for
-- the other kind. By rank, which no other index has in a job's order, so that none other is chosen.
drop index task_idle;
create index task_waiting on task (job_id, rank) where state in ('delayed', 'queued', 'dispatched');
create index task_held on task (job_id, rank) where state = 'blocked';

-- Cancels tasks in nobody's hands, up to so many of all these jobs together; passes over what is being claimed.
drop function cancel_idle_tasks(bigint, integer);
create function cancel_idle_tasks(p_jobs bigint[], p_limit integer) returns table (job_id bigint, step text, count integer)
language plpgsql
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
begin
  return query
    with gone as (
      update task t set state = 'cancelled', lease_until = null, finished_at = now()
      where t.id = any(array(
        select i.id from unnest(p_jobs) as j(id) cross join lateral (
          select w.id from (select q.id from task q
            where q.job_id = j.id and q.state in ('delayed', 'queued', 'dispatched')
            limit p_limit for update skip locked) w
          union all
          select h.id from (select q.id from task q where q.job_id = j.id and q.state = 'blocked'
            limit p_limit for update skip locked) h) i
        limit p_limit))
      returning t.job_id, t.step
    )
    select g.job_id, g.step, count(*)::integer from gone g group by g.job_id, g.step;
end $$;

-- Holds up to so many tasks that nobody has; answers whether some are left, those included that are being claimed.
create function hold_tasks(p_job bigint, p_limit integer) returns boolean
language plpgsql
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set enable_hashjoin = off set enable_mergejoin = off
as $$
begin
  update task t set state = 'blocked', lease_until = null
  where t.id = any(array(select q.id from task q
    where q.job_id = p_job and q.state in ('delayed', 'queued', 'dispatched') limit p_limit for update skip locked));
  return exists (select from task q where q.job_id = p_job and q.state in ('delayed', 'queued', 'dispatched'));
end $$;

-- Lets up to so many held tasks go, each to where its time puts it; answers whether some are left.
create function release_tasks(p_job bigint, p_limit integer) returns boolean
language plpgsql
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set enable_hashjoin = off set enable_mergejoin = off
as $$
begin
  update task t set state = case when t.run_at > now() then 'delayed'::task_state else 'queued' end
  where t.id = any(array(select q.id from task q
    where q.job_id = p_job and q.state = 'blocked' limit p_limit for update));
  return exists (select from task q where q.job_id = p_job and q.state = 'blocked');
end $$;
