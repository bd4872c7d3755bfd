-- How long a tenant keeps what its jobs made, its jobs, and its audit events: days in tenant.limits, and for ever where none
-- are set. Deleting in pieces, oldest first, as 0012 does it.

create index job_kept on job (tenant_id, finished_at, id) where finished_at is not null;
-- Up to this end, and of those that ended at that moment up to this job, there are no results any more. A job that runs again
-- ends later than that.
alter table tenant_schedule
  add column results_forgotten_to timestamptz not null default '-infinity',
  add column results_forgotten_job bigint not null default 0;

-- Of one job up to so many results and outputs; answers how many. Objects that belong to nothing any more are swept later.
create function forget_results_of(p_job bigint, p_limit integer) returns integer
language plpgsql
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set jit = off
as $$
declare
  results integer;
  outputs integer;
begin
  delete from task_result where task_id = any(array(
    select task_id from task_result where job_id = p_job limit p_limit));
  get diagnostics results = row_count;
  delete from output where id = any(array(select id from output where job_id = p_job limit p_limit - results));
  get diagnostics outputs = row_count;
  return results + outputs;
end $$;

-- Each of these answers how much it did, rows and jobs together; less than the limit means that nothing is left.

create function forget_results(p_tenant bigint, p_kept_days integer, p_limit integer) returns integer
language plpgsql
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set jit = off
as $$
declare
  reached record;
  found_job record;
  done integer := 0;
begin
  select s.results_forgotten_to as finished_at, s.results_forgotten_job as id into reached
    from tenant_schedule s where s.tenant_id = p_tenant;
  if not found then return 0; end if;
  for found_job in
    select j.id, j.finished_at from job j
    where j.tenant_id = p_tenant and j.finished_at < now() - p_kept_days * interval '1 day'
      and (j.finished_at, j.id) > (reached.finished_at, reached.id)
    order by j.finished_at, j.id limit p_limit for no key update skip locked
  loop
    done := done + forget_results_of(found_job.id, p_limit - done);
    exit when done >= p_limit; -- It may have more; it comes again.
    done := done + 1;
    reached.finished_at := found_job.finished_at;
    reached.id := found_job.id;
  end loop;
  if done > 0 then
    update tenant_schedule set results_forgotten_to = reached.finished_at, results_forgotten_job = reached.id
      where tenant_id = p_tenant;
  end if;
  return done;
end $$;

create function forget_jobs(p_tenant bigint, p_kept_days integer, p_limit integer) returns integer
language plpgsql
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set jit = off
as $$
declare
  found_job bigint;
  done integer := 0;
  moved integer;
begin
  for found_job in
    select j.id from job j
    where j.tenant_id = p_tenant and j.finished_at < now() - p_kept_days * interval '1 day'
    order by j.finished_at, j.id limit p_limit for update skip locked
  loop
    done := done + forget_results_of(found_job, p_limit - done);
    exit when done >= p_limit; -- It may have more; it comes again.
    with gone as (
      delete from task t where t.id = any(array(select q.id from task q where q.job_id = found_job limit p_limit - done))
      returning t.id
    ), attempts as (
      delete from task_attempt a where a.task_id = any(array(select g.id from gone g))
    )
    select count(*)::integer into moved from gone;
    done := done + moved;
    exit when done >= p_limit;
    delete from download_link l where l.tenant_id = p_tenant and l.job_id = found_job;
    delete from job_step s where s.job_id = found_job;
    delete from job j where j.id = found_job;
    done := done + 1;
  end loop;
  return done;
end $$;

-- Batches go like jobs: their reports tell of jobs that are not there any more.
create function forget_batches(p_tenant bigint, p_kept_days integer, p_limit integer) returns integer
language plpgsql
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set jit = off
as $$
declare
  found_batch bigint;
  done integer := 0;
  moved integer;
begin
  for found_batch in
    select b.id from batch b
    where b.tenant_id = p_tenant and b.finished_at < now() - p_kept_days * interval '1 day'
    order by b.id limit p_limit for update
  loop
    delete from batch_item i where i.batch_id = found_batch and i.ordinal = any(array(
      select q.ordinal from batch_item q where q.batch_id = found_batch order by q.ordinal limit p_limit - done));
    get diagnostics moved = row_count;
    done := done + moved;
    exit when done >= p_limit;
    delete from batch b where b.id = found_batch;
    done := done + 1;
  end loop;
  return done;
end $$;

-- Events are written in the order of their ids, near enough; of the oldest, those that are old enough go.
create function forget_audit(p_tenant bigint, p_kept_days integer, p_limit integer) returns integer
language plpgsql
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set jit = off
as $$
declare
  done integer;
begin
  delete from audit_event e where e.id = any(array(
    select o.id from (select q.id, q.at from audit_event q where q.tenant_id = p_tenant order by q.id limit p_limit) o
    where o.at < now() - p_kept_days * interval '1 day'));
  get diagnostics done = row_count;
  return done;
end $$;

-- What has been switched off counts as very dear, and what is dear would be compiled, which takes longer than it runs.
alter function list_backlog set jit = off;
alter function admit_tasks set jit = off;
alter function requeue_expired set jit = off;
alter function promote_delayed set jit = off;
alter function take_ready set jit = off;
alter function count_ready set jit = off;
alter function cancel_idle_tasks set jit = off;
alter function list_outputs_after set jit = off;
alter function archive_tasks set jit = off;
