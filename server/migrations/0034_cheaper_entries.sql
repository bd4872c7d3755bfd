-- What an upload costs the database beside its rows: docs/decisions/0018.

-- To count digits in a regular expression takes ten times as long as to look for anything else.
alter table object
  drop constraint object_id_check,
  drop constraint object_sha256_check,
  add constraint object_id_check check (length(id) = 32 and id !~ '[^0-9a-f]'),
  add constraint object_sha256_check check (length(sha256) = 64 and sha256 !~ '[^0-9a-f]');

-- Once per statement, not per row.
drop trigger object_key on object;
drop trigger upload_session_key on upload_session;
create or replace function refuse_retired_key() returns trigger
language plpgsql
as $$
declare
  retired record;
begin
  select distinct k.tenant_id, k.version into retired from entered e
    join tenant_key k on k.tenant_id = e.tenant_id and k.version = e.tenant_key_version
    where k.retired_at is not null limit 1;
  if found then
    raise exception 'the key of tenant % in version % is retired', retired.tenant_id, retired.version
      using errcode = 'object_not_in_prerequisite_state';
  end if;
  return null;
end $$;
create trigger object_key after insert on object referencing new table as entered
  for each statement execute function refuse_retired_key();
create trigger upload_session_key after insert on upload_session referencing new table as entered
  for each statement execute function refuse_retired_key();

-- No plan depends on what these hold; to unpack and sort thirty thousand of each took more than half of ANALYZE.
alter table object alter store_key set statistics 0, alter sha256 set statistics 0, alter manifest set statistics 0,
  alter wrapped_key set statistics 0;
alter table file alter sha256 set statistics 0, alter metadata set statistics 0, alter found set statistics 0,
  alter verdict set statistics 0, alter made set statistics 0;
alter table file_version alter sha256 set statistics 0, alter verdict set statistics 0;
alter table job alter problem set statistics 0;
alter table job_step alter problem set statistics 0;
alter table task alter input set statistics 0, alter problem set statistics 0;
alter table task_result alter result set statistics 0;
alter table task_attempt alter problem set statistics 0;
alter table outbox alter data set statistics 0;
alter table audit_event alter detail set statistics 0, alter request_id set statistics 0;
alter table search_entry alter metadata set statistics 0;
