-- An old version of a tenant's key is destroyed once it wraps nothing any more (storage/old-keys.ts). It is retired first:
-- from then on no row may come that it has wrapped, so that what a slow writer enters late is refused instead of lost.
alter table tenant_key add column retired_at timestamptz;

create function refuse_retired_key() returns trigger
language plpgsql
as $$
begin
  if exists (select from tenant_key k
    where k.tenant_id = new.tenant_id and k.version = new.tenant_key_version and k.retired_at is not null) then
    raise exception 'the key of tenant % in version % is retired', new.tenant_id, new.tenant_key_version
      using errcode = 'object_not_in_prerequisite_state';
  end if;
  return new;
end $$;

create trigger object_key before insert on object for each row execute function refuse_retired_key();
create trigger upload_session_key before insert on upload_session for each row execute function refuse_retired_key();
