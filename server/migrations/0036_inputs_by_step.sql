-- What all tasks of a fan-out are given stands once, at their step, and a task names only the output that it is for: whatever
-- stands in a task is written again with each of its moves.
alter table job_step add column input jsonb; -- of a step that goes through outputs: what its tasks get beside theirs
alter table job_step alter input set statistics 0;
alter table task alter input drop not null;
alter table task add column output_id bigint; -- that it is for; its own input is then left out
alter table task add constraint task_input_check check ((input is null) = (output_id is not null));

-- The whole input of a task, for whoever reads a few.
create function input_of(t task) returns jsonb
language sql stable
as $$
  select coalesce(t.input, (
    select jsonb_set(s.input, '{files}', jsonb_build_array(jsonb_build_object('name', o.name, 'contentType', o.content_type,
      'sizeBytes', o.size_bytes, 'sha256', o.sha256, 'objectId', o.object_id, 'from', o.step)) || (s.input -> 'files'))
    from job_step s left join output o on o.id = t.output_id where s.job_id = t.job_id and s.name = t.step))
$$;

-- The next outputs of a step, for a fan-out. Pages cost nothing here, so that the plan that meets the fewest rows is taken:
-- the primary key is in this order, too, and walking it through what other jobs have made looks cheap to the planner.
drop function list_outputs_after(bigint, text, bigint, integer);
create function list_outputs_after(p_job bigint, p_step text, p_after bigint, p_limit integer) returns setof bigint
language plpgsql stable
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off
set seq_page_cost = 0 set random_page_cost = 0
as $$
begin
  return query
    select o.id from output o where o.job_id = p_job and o.step = p_step and o.id > p_after order by o.id limit p_limit;
end $$;

-- Tenants with queued tasks, lane by lane, each found by the last of its backlog: in front of the first lies what has been
-- begun since the index was vacuumed, and to walk through that on every look took longer the more of a backlog was done.
-- The next one is looked for from the tenant's present on; where all are older, the last stands for what one costs.
create or replace function list_backlog(p_pool smallint, p_limit integer)
returns table (lane smallint, tenant_id bigint, cost_ms integer)
language plpgsql stable
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set enable_hashjoin = off set enable_mergejoin = off
set jit = off set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  found_lane smallint;
  found_count integer := 0;
  lane_count integer;
begin
  foreach found_lane in array '{0,1,2}'::smallint[] loop
    return query
      with recursive tail as (
        (select t.tenant_id, t.cost_ms from task t where t.state = 'queued' and t.pool = p_pool and t.lane = found_lane
         order by t.tenant_id desc, t.rank desc limit 1)
        union all
        select n.tenant_id, n.cost_ms from tail l cross join lateral
          (select t.tenant_id, t.cost_ms from task t
           where t.state = 'queued' and t.pool = p_pool and t.lane = found_lane and t.tenant_id < l.tenant_id
           order by t.tenant_id desc, t.rank desc limit 1) n
      )
      select found_lane, l.tenant_id, coalesce(
        (select t.cost_ms from task t where t.state = 'queued' and t.pool = p_pool and t.lane = found_lane
           and t.tenant_id = l.tenant_id and t.rank >=
             (select s.virtual_ms[found_lane + 1] from tenant_schedule s where s.tenant_id = l.tenant_id)
         order by t.rank limit 1),
        l.cost_ms)
      from tail l limit p_limit - found_count;
    get diagnostics lane_count = row_count;
    found_count := found_count + lane_count;
  end loop;
end $$;
