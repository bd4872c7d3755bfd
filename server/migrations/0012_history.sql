-- History that stays small. The table of tasks holds what is live, what ended in the last hour, and what somebody may still
-- want to run again (dead, cancelled, skipped). Of a succeeded task of an ended job nothing is needed but its result row and
-- two numbers, which its step keeps. Deleting in pieces, not partitions by day: a replay takes a job of any day up again,
-- and the embedded database does the same.

alter table job_step add column attempts smallint not null default 0; -- the most that a task now gone took
alter table job_step add column tasks_archived integer not null default 0; -- succeeded tasks that are gone
alter table job add column archived_at timestamptz;
-- A job that ran again ends later than it was archived, and is archived again.
create index job_unarchived on job (finished_at) where finished_at is not null and (archived_at is null or archived_at < finished_at);
create index task_attempt_ended on task_attempt (ended_at);

-- Takes up to so many succeeded tasks of jobs that ended so long ago out of the table; answers how many tasks and jobs.
create function archive_tasks(p_ended_ms bigint, p_limit integer) returns table (tasks integer, jobs integer)
language plpgsql
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
  found_job bigint;
  moved integer;
begin
  tasks := 0;
  jobs := 0;
  for found_job in
    select j.id from job j
    where j.finished_at is not null and (j.archived_at is null or j.archived_at < j.finished_at)
      and j.finished_at < now() - p_ended_ms * interval '1 ms'
    order by j.finished_at limit p_limit for no key update skip locked
  loop
    with gone as (
      delete from task t where t.id = any(array(
        select q.id from task q where q.job_id = found_job and q.state::text = 'succeeded'
        order by q.job_id, q.step, q.ordinal limit p_limit - tasks))
      returning t.step, t.attempt
    ), sums as (
      select g.step, count(*)::integer as count, max(g.attempt) as attempts from gone g group by g.step
    ), kept as (
      update job_step s set tasks_archived = s.tasks_archived + u.count, attempts = greatest(s.attempts, u.attempts)
      from sums u where s.job_id = found_job and s.name = u.step
    )
    select coalesce(sum(u.count), 0)::integer into moved from sums u;
    tasks := tasks + moved;
    exit when tasks >= p_limit; -- The job may have more; it comes again.
    update job j set archived_at = now() where j.id = found_job;
    jobs := jobs + 1;
  end loop;
  return next;
end $$;
