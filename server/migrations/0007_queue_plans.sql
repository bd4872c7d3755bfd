-- Tasks of a job that are in nobody's hands: what a cancellation takes, a chunk at a time. Without it each chunk looks at
-- every task that the job ever had. By rank, which no other index has in a job's order, so that none other is chosen.
create index task_idle on task (job_id, rank) where state in ('blocked', 'delayed', 'queued', 'dispatched');

create function cancel_idle_tasks(p_job bigint, p_limit integer) returns table (step text, count integer)
language plpgsql
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
begin
  return query
    with gone as (
      update task t set state = 'cancelled', lease_until = null, finished_at = now()
      where t.id = any(array(select q.id from task q
        where q.job_id = p_job and q.state in ('blocked', 'delayed', 'queued', 'dispatched')
        limit p_limit for update skip locked))
      returning t.step
    )
    select g.step, count(*)::integer from gone g group by g.step;
end $$;

-- The next outputs of a step, for a fan-out. Pages cost nothing here, so that the plan that meets the fewest rows is taken:
-- the primary key is in this order, too, and walking it through what other jobs have made looks cheap to the planner.
create function list_outputs_after(p_job bigint, p_step text, p_after bigint, p_limit integer) returns setof output
language plpgsql stable
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off
set seq_page_cost = 0 set random_page_cost = 0
as $$
begin
  return query
    select o.* from output o where o.job_id = p_job and o.step = p_step and o.id > p_after order by o.id limit p_limit;
end $$;
