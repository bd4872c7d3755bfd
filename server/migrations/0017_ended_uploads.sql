-- An upload that has ended keeps no key: that of a sealed one is its object's, and goes when that is erased or shredded.
update upload_session set wrapped_key = '' where ended_at is not null;
alter table upload_session add constraint upload_session_key check (ended_at is null or wrapped_key = '');
