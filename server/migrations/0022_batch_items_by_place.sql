-- As 0015 has it, by place: of a batch that statistics do not know of, the planner believes that it has one item, and would
-- look through all of them for each piece.

create or replace function forget_batches(p_tenant bigint, p_kept_days integer, p_limit integer) returns integer
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
    delete from batch_item i where i.ctid = any(array(
      select q.ctid from batch_item q where q.batch_id = found_batch order by q.ordinal limit p_limit - done));
    get diagnostics moved = row_count;
    done := done + moved;
    exit when done >= p_limit;
    delete from batch b where b.id = found_batch;
    done := done + 1;
  end loop;
  return done;
end $$;
