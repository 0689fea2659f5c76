//! Where `fingerprints.txt` comes from: injections, written from parts that fit together, folded;
//! less the shapes that texts of people have.
//!
//! After a change of the lexer, the words or the parts, write the file anew:
//! `PORTCULLIS_WRITE_FINGERPRINTS=1 cargo test --lib injection::templates`.

use std::collections::BTreeSet;

use super::fold::fold;
use super::lexer::{Context, Dialect, Lexer};
use super::sqli::{contexts, is_beyond_doubt, is_text, pack};

/// What stands where a value was expected, up to the point where the query is taken over.
#[rustfmt::skip]
const NUMBERS: &[&str] = &[
    "1", "1)", "1))", "x", "x)", "@x", "", ")", "md5(1)", "(select 1)", "1 x",
];
#[rustfmt::skip]
const STRINGS: &[&str] = &["", ")", "))", ",1)"];

/// Values, comparisons and calls, as a condition may hold them.
#[rustfmt::skip]
const CONDITIONS: &[&str] = &[
    "'1", "'1'", "1=1", "1", "x", "'x'='x", "'x'='x'", "'x", "'x'", "\"x\"=\"x", "\"x\"", "1='1", "x='x", "x='x'", "1 like 1",
    "x like 'x", "x like '%x%'", "1 in (1)", "1 in (select 1)", "x in ('x')", "1 between 1 and 2", "x between 'x' and 'y'",
    "x is null", "x is not null", "not 1", "not(1)=1", "exists(select 1)", "exists (select x from y)",
    "not exists(select x)", "sleep(5)", "sleep(5)=1", "1=sleep(5)", "'x'=sleep(5)", "benchmark(1,md5(1))",
    "ascii(substr(user(),1,1))>1", "ascii(substr((select x from y limit 1),1,1))>1", "(select count(*) from y)>0",
    "(select 1)", "(select x from y)='x", "1=(select 1)", "1=(select count(*) from y)", "1>(select x from y)",
    "'x'=(select x)", "@@version", "@@version=1", "@x:=1", "@x=1", "'x' < @x", "user()='x'", "user", "user()",
    "current_user", "database() like 'x%'", "version() like '5%'", "case when 1=1 then 1 else 2 end",
    "(case when 1=1 then 1 else 2 end)", "if(1=1,1,2)", "if((select 1),1,2)", "1=if(1,1,2)", "(1)=(1)", "(1)", "((1))",
    "(1=1)", "(x=1)", "('x')=('x')", "('x')=('x", "(sleep(5))", "(1 or 1)", "(1 or 1) and 1=1", "(1) or 1", "(md5(1))", "((select 1))", "1 group by x", "1 group by md5(1)", "1 group by md5(md5(1),md5(1))", "1 having md5(1)", "1 order by 1", "1 is not null having 1",
    "1 having 1", "1 limit 1", "x collate utf8 like 1", "x regexp 'x'", "x rlike sleep(5)", "1 union select 1",
    "row(1,1)>(select 1)", "(1,1)>(select 1)", "(1,1)=(1,1)", "(select 1 from (select 2) x)", "1=1 or 2", "1 or 1",
    "x or x", "'x' or 'x", "1 and sleep(5)", "'x' and 1", "0x31=1", "1::int=1", "md5(1)=md5(1)", "md5(1)", "md5(md5(1))", "md5(md5(1),1)>1",
    "md5((select 1))", "md5(x)='x", "md5('x')=1", "md5('x'", "md5(1", "(md5(1", "(select", "x(1)", "x.y(1)", "x.y='x", "cast(1 as int)=1",
    "convert(int,(select 1))=1", "'x", "1#", "''='", "''", "'", "\"", "pg_sleep(5) is null", "1=1 limit 1", "1 into @x",
    "binary 1=1", "-1", "!1", "~1", "-x", "+'x'", "1 is true", "true", "null is null", "isnull(x)", "x=x", "x>'a", "$$x$$=$$x$$",
    "x not in (1)", "x not like 'x'", "x not between 1 and 2", "x = any(select 1)", "1=1;", "t.x=1", "md5()=1", "md5(1 or 1)", "(md5(1) or 1)", "(md5('x' or 1))", "(md5(x) or 1)", "(md5(@x))", "(1 or 1)", "(1 or md5(1))", "[x]=1", "x()=x()",
    "interval 1 day", "'x' is not null", "1 mod 1", "1 div 0", "1 sounds like 1", "match(x) against('x')", "char(1)=char(1)",
    "'x' 'x'", "'x'=", "1=", "x=", "(", "((", "('x", "(1", "(x", "(x.y", "(@x", "@x", "(md5(1)=1", "(select 1)=1", "(((select",
    "x='x' and y='y'", "1 and 1", "1=1 and 1=1", "1=1 or 1=1", "elt(1=1,1)", "extractvalue(1,concat(0x7e,version()))",
    "updatexml(1,concat(0x7e,(select 1)),1)", "utl_inaddr.get_host_address((select 1))=1", "dbms_pipe.receive_message('x',5)=1",
    "(select sleep(5))", "(select(0)from(select(sleep(5)))x)", "x.y", "1 x", "x 1", "x y", "'x' y", "exec x", "exec x 1",
];

/// What binds a condition to what stands before it.
#[rustfmt::skip]
const LINKS: &[&str] = &[" or ", " and ", "||", " xor ", "&&", "or(", " and(", "||(", " or not ", " and not("];

/// Ways to work with the value rather than to compare it.
#[rustfmt::skip]
const OPERATIONS: &[&str] = &[
    "=", "<", "!=", "<=>", "+", "-", "*", "/", "%", "^", "|", "&", "<<", " like ", " rlike ", " regexp ", " in ", " div ",
    " is ", " between ", "=(", "= any(", "-any(", "=all(", "+(", "-(", "*(", "|(", "^(", "/(", "%(", " in(", "||", "-(select ", " rlike (", " like(", "&(",
    " not like ", " not in(", " sounds like ", ">>", "~", "!", " mod(", "=-", " collate x=", " collate x like ", "::int=",
];

/// What an operation is done with, where that alone is telling.
#[rustfmt::skip]
const TELLING: &[&str] = &[
    "(select 1)", "select 1", "(select x from y)", "sleep(5)", "benchmark(1,md5(1))", "if(1=1,sleep(5),1)", "md5(1)", "md5(md5(1))",
    "md5((select 1))", "(select count(*) from y)", "case when 1=1 then 1 else 2 end", "(case when 1 then 1 end)", "@@version",
    "user()", "md5(1) or 1", "1 or 1=1", "x or x=x", "1 and 1=1", "1 union select 1", "x union select 1", "'x' or 'x'='x",
    "(select 1) or 1", "0 union select 1", "md5(1)='x", "'x'=md5(1)", "md5(1)=1", "(md5(1", "md5(md5(md5(1", "char(1)", "1 group by x",
    "1 order by 1", "1 having 1=1", "1 limit 1", "(sleep(5))", "(md5(1))", "(select(md5(1)))", "@x", "@x:=1", "1 into outfile 'x'",
    "(1)or(1)=(1)", "(1)union(select 1)", "'x' union select 1", "x from y", "1 from y", "1 where 1=1", "x where 'x'='x",
    "1 and sleep(5)", "1;drop table x", "'x';drop table x", "exists(select 1)", "exec x", "md5(1)union select 1", "(select 1)union select 1",
    "'x'and 1=1", "'x' and 'x", "'x'or md5(1)", "1 or md5(1)", "x or md5(1)", "1 or (select 1)", "md5(1)*md5(1)", "1 rlike (select 1)", "\"x\"", "x is null", "@x is null", "x is 'y", "1 is null", "x is not null -'", "md5(1) is null", "0='x", "x='y", "1 like 'x",
];

/// Whole statements and clauses behind a value.
#[rustfmt::skip]
const CLAUSES: &[&str] = &[
    " union select 1", " union select 1,2,3", " union select x y", " union select 'x' y", " union select x 'y'", " union select 1 x", " union select @x 'y'", " union distinct all select 1", " union (select x from y)", " union(((select x))", " union(((md5(1)))", " union all select null,null", " union select @@version", " union select x from y",
    " union select user(),1", " union(select 1)", ",(select 1)", ",(select x)", ",(select (case when 1=1 then 1 end))", ",(select md5(1))", ",md5(1)", ",(md5(1))", ",(cast(md5(1) as int))", ",if(1=1,x,y)", " union (select(1),2)", " union all(select 'x')", " union select 'x','y'",
    " union select (select x)", " union distinct select 1", " union select * from y", " union select concat(x,y) from z",
    " union values(1)", " union values (1,2)", " union table x", " union select top 1 x", " union select distinct x", " union all select", " union", "#\nunion", " union#", " begin goto x declare @y int", " begin try declare @x int", " begin try select 1", " goto x declare @y int", " goto x select md5(1)", " begin try select md5(1)", " is null for update union select 1", " is null or 1=1", "),(1", "),(1,(select 1)", " lock in share mode union select 1", " union select load_file('x')", " union select -1", " union/**/select/**/1", " union select null from y where 1",
    " union select case when 1 then 1 end", " union select`x`", " union select x,y,z", " union exec x", " union select ~1", " union select \"x\"",
    " union select '", " union select if(1,2,3)", " except select 1", " intersect select 1", " minus select 1 from dual",
    " group by x", " group by 1", " group by x having 1=1", " group by 'x", " group by md5(1)", " group by md5(md5(1),md5(1))", " is not null having 1", " group by (1)", " group by @x", " group by(select 1)",
    " having 1", " having 1=1", " having x=1", " having 'x'='x", " having 'x", " having md5(1)", " having (1)", " having (select 1)", " having @x", " having not 1",
    " having count(*)>1", " order by 1", " order by 1,2,3", " order by x", " order by md5(1)", " order by (select 1)", " order by case when 1 then 1 end",
    " order by 'x", " order by 1 desc", " order by x asc", " order by if(1,1,1)", " order by @x", " order by (1)", " order by sleep(5)", " limit 1", " limit 1,1", " limit 1 offset 1",
    " limit 0,1 procedure analyse(1,1)", " limit 1 union select 1", " limit 1 union(select 1)", " between 1 and 2 union select 1", " limit (select 1)", " limit 1 into outfile 'x'", " limit 1;", " limit @x", " limit md5(1)", " procedure analyse()",
    " procedure analyse(extractvalue(1,2),1)", " procedure analyse(1)", " procedure analyse((select 1),1)", " into outfile 'x'", " into dumpfile 'x'", " into outfile \"x", " into @x", " into outfile 'x' lines terminated by 1",
    " into outfile 0x31", " where 1=1", " where x=1", " where 'x'='x", " where 1", " where x like 'x'", " where md5(1)", " where (1)", " where exists(select 1)", " where not 1", " where @x",
    " from x", " from x where 1", " from x--", " from (select 1) x", " from x,y", " from x.y", " from x union select 1", " from dual", " from md5(1)", " from x order by 1", " from x limit 1",
    " for xml path", " for update", " lock in share mode", " in boolean mode)", " as x from y", " as x where 1=1", " as x union select 1", " as x", " collate x", " returning x", " join x on 1", " on 1=1", " when 1 then 1 end",
    " then 1 else 2 end", " else 1 end", " end", " escape 'x", " using x", " over (order by 1)", " values (1)", " returning (select 1)", " set x=1", " set x='x", " rows fetch", " case when 1 then 1 end", " (select 1)", "(select 1)", " (select md5(1))", " (union(select 1))", " (union select 1)", " for update union select 1", " limit 1 procedure analyse(1)", 
    " procedure", " with rollup", " with rollup having 1", " offset 1", " limit 1 rows", " into x", " natural join x", " left join x on 1=1", " inner join (select 1) x", " cross join x", " exec x", "=1 union select 1", " if 1=1 x", " if(1=1) x", " if (1=1) select 1", " if not(1=1) x",
    " waitfor delay '0:0:5'", " declare @x int", " exec('x')", " exec x 'y'", " execute x", " drop table x", " insert into x values(1)", " delete from x", " update x set y=1", " shutdown", " create table x", " alter table x", " begin x",
];

/// A second statement.
#[rustfmt::skip]
const STATEMENTS: &[&str] = &[
    "select 1", "select sleep(5)", "select pg_sleep(5)", "select * from x", "select x from y", "select 'x'", "select @@version", "(select 1)", "select case when 1 then 1 end", "select(1)", "select-1",
    "select md5(md5(1))", "select 1,md5(1)", "select 'x',md5(1)", "(select x from (select 1) y)", "(select 1 from (select md5(1)))", "(md5(md5(md5(1))))", "(md5('x' or 1))", "(md5(1 or 1))", "(md5(@x or 1))", "(select (1 or 1))", "(select ('x' or 1))", "(select md5(1) or 1)", "union select 1", "union (select x from y)", "(@x or 'x')", "('x' or 'x')", "('x' or 1)", "(1 or @x)", "(@x or @x)", "exec x @y='z'", "(select like('x',md5(1)))", "(select like(x,md5(1)))", "case 1 when 1 then 2 end", "case 'x' when 2 then 2 end", "1 - (1 / md5(1))", "if(1 - md5(1), 2)", "exec(@x @y)", "select @x y", "select @x 'y'", "select @x y from z", "convert(int,md5(1))", "convert(int,(select 1))", "(md5((select md5(1))))", "(md5((select (select 1))))", "select (1) from x", "drop x", "delete x --", "(1 - (select 1))", "(1 - md5(1))", "(1 + md5(1))", "union all select 1", "md5() and md5(1)", "(select like('x',1))", "(select 1 from md5(1))", "select x,md5(1),2", "select x,concat(1,2) from y", "(select x from y)", "(select md5(1))", "(select top 1 x)", "(select x,y from z)", "md5(md5(1))", "md5(md5(md5(1)))", "(md5(md5(1)))", "((select 1 or 1))", "(select(1))", "select x from y where 1", "(select(x))", "((md5(1) or 1", "select x", "drop table x", "drop database x", "drop x y", "insert into x values(1)", "insert into x(y) values('z')", "insert x y", "update x set y=1", "update x set y='z' where 1", "update x.y set z=1",
    "delete from x", "delete from x where 1=1", "delete x", "truncate table x", "alter table x drop column y", "alter table x add y int", "alter x y", "create table x(y int)", "create table x as select 1", "create user x", "create or replace function x", "create function x(int)",
    "create x y", "exec x", "exec x 'y'", "exec('x')", "exec x.y 'z'", "exec x @y", "exec xp_cmdshell('x')", "exec master..xp_cmdshell 'x'", "exec sp_x @y=1", "execute x", "execute immediate 'x'", "declare @x int", "declare @x varchar(1)", "declare @x nvarchar(1) set @x='y'",
    "declare x cursor for select 1", "set @x=1", "set @x='x'", "set @x=(select 1)", "set x=1", "set x to 1", "set @x=md5(1)", "waitfor delay '0:0:5'", "waitfor time '0'", "waitfor delay '0' shutdown", "if not((select md5(1)))=1 x", "(select (select 1))", "print 'x'; exec y", "use x; exec y", "if 1=1 waitfor delay '0'", "if (1=1) select 1", "if(1=1) waitfor delay '0'", "if (select 1)=1 x", "if x=1 y", "if exists(select 1) x", "if not 1=1 x", "if 1 x", "if user='x' y",
    "if @x=1 y", "if md5(1)=1 x", "if(md5(1))x", "begin x", "begin declare @x int", "begin dbms_lock.sleep(5); end;", "begin", "commit", "rollback", "shutdown", "shutdown with nowait", "grant x to y", "grant all on x.y to z", "revoke x", "merge x", "handler x open", "handler x read first", "load data infile 'x'", "load xml local infile 'x'", "copy x from 'y'", "copy x(y) from z", "copy (select 1) to program 'x'",
    "prepare x from 'y'", "prepare x from 0x31", "call x(1)", "call x", "show tables", "show x", "use x", "backup database x to disk='y'", "reconfigure", "kill 1", "kill x", "dbcc x", "dbcc x(1)", "rename table x to y", "lock tables x", "attach database 'x' as y", "attach 'x' as y", "vacuum", "pragma x", "explain select 1", "describe x", "bulk insert x from 'y'", "open x", "fetch x", "print 'x'",
    "print @@version", "print 1", "perform md5(1)", "perform pg_sleep(5)", "select", "values(1)", "table x", "with x as (select 1) select 2", "case 1", "replace into x values(1)", "do sleep(5)", "do md5(1)", "return 1", "end", "select x into y", "select 1 into outfile 'x'", "select $$x$$", "union select 1", "goto x", "deallocate x", 
];

/// What becomes of the rest of the query.
#[rustfmt::skip]
const ENDS: &[&str] = &[
    "", "--", ";", ")", ")--", "))--", " or 'x'='x", " and 1", "'", "\"", " and ('x'='x", " or (1", " limit 1", " from x", " union select 1", " group by x", ",1",
    ",(1", " x", " x y", ") or 1=1", ") union select 1", ";select 1", "+'x", "='x", " in (1", " where 1",
];

/// Texts of people, and of programs, that are none. Their shapes are taken out again.
#[rustfmt::skip]
const TEXTS: &[&str] = &[
    "null is not 0 and '' is not null", "=IF(A1>5,\"yes\",\"no\")", "between 1 and 10", "between 1 and 10=c", "Is the group by order or the order by group?", "now() or later", "cursor -ticket +select box", "benchmark (CPU) vs real life", "Delete purchase order by ID", "Union, Jean", "Union / Null", "Union / Order", "Union / N'Diaye", "Ms Union -- Berlin",
    "hello world", "a, (select one)", "a, (b), c", "a, count(b)", "a,count(b)", "a, max(1)", "x, y, count(1)", "case 1 of 2", "please select a, (b)", "it is now (too) late", "is now (too)", "char('.'), x", "select the \"save\" option", "select 'x'", "(select one)", "(select all that apply)", "please (select one)", "(see (b))", "(a), (b)", "(a), (b) and (c)", "this is a plain sentence with several words", "You and me", "Tom and Jerry or Felix", "O'Reilly", "O'Reilly and Sons", "don't", "it's", "I don't know, it's fine", "rock 'n' roll", "Mary's lamb and John's dog",
    "a, b, c and d", "a=b", "a=1&b=2", "x > y", "1 + 1 = 2", "1/2", "50%", "10% off", "(a or b)", "(cotton or linen) shirts", "one (1)", "Dr. Smith (dentist)", "size: 10 x 20 (cm)", "foo(bar)", "f(x) = y", "see section 3 (b)", "user@mail.example",
    "A-1234/56", "12-34-56", "2026-11-24T10:00:00Z", "2026-11-24", "10:30", "+41 79 123 45 67", "#1 fan", "C# and F#", "the #1 and only", "select one of these", "please select a value from the list", "Select an item", "order by phone", "group by the door",
    "drop me a line", "update your profile", "insert coin", "delete this, please", "create an account", "union of workers", "the union and the select committee", "credit union", "where are you", "from me to you", "like it or not", "in or out", "not now", "and now", "or else",
    "null", "true or false", "yes/no", "R&D", "AT&T", "black & white", "A & B", "a && b", "http://example.com/?a=1&b=2", "https://example.com/a/b.html#top", "/usr/local/bin", "C:\\temp\\x", "key: value; other: value", "a; b; c", "text/html; charset=utf-8", "font-size: 10px; color: red",
    "x; y", "1; 2", "name;", "foo -- bar", "foo - bar", "- item", "* item", "a -- b and c", "wait... what?!", "\"quoted\"", "say \"hello\" to him", "'quoted'", "he said 'hello' to me", "\"a\" and \"b\"", "'a' or 'b'", "\"a\", \"b\", \"c\"", "'a', 'b'", "{\"a\": 1}", "{\"a\": \"b\", \"c\": [1, 2]}", "[1, 2, 3]", "[a] b", "$10", "$10.50 and $20",
    "5'10\"", "6' 2\"", "12\" disc", "the \"like\" button", "a \"is\" b", "Invoice(draft), copies", "count(5), x", "3/8\"-5/8\" bolts", "false#next", "5 #2", "here is neither an or nor an and", "the mix is 70 and 30", "it is 3 and a quarter", "to be or not to be, that is it", "x and y like z", "3.5\" drive and 2.5\" drive", "24\" monitor (black)", "5' x 7' rug", "@user hello", "@user and @other", "cost 5 or 6", "2 or 3", "1 and 2", "a/b/c", "a|b|c", "a*b*c", "#hashtag", "#hashtag and #other", "50-60", "100 x 200", "v1.2.3", "1,234.56", "1.000,00", "Smith, John", "Smith, John (Jr.)", "Smith & Sons, Ltd.",
    "Mr. and Mrs. Smith", "is it? yes; and no", "3 > 2", "a < b and c > d", "<b>bold</b>", "<a href=\"x\">y</a>", "a href=\"x\"", "width=\"10\" height=\"20\"", "x = 'y'", "it's a dog's life", "the dogs' bowls", "the dogs' bowls and cats' beds", "James' book", "rock'n'roll", "l'heure d'or", "aujourd'hui", "d'Artagnan et l'autre", "if it's ok (or not)", "if a then b else c", "as is", "end of day", "by hand",
    "table for two", "all in all", "case in point", "use by date", "set of 3", "set 1 of 2", "show me", "call me at 10", "begin here", "load more", "copy that", "lock (new)", "left (or right)", "time (s)", "date (optional)", "count (max 5)", "user (admin)", "version (1.0)", "password (again)", "replace (all)", "length (cm)", "round (10)", "char (x)",
    "one, two (three), four", "the cat (and the dog)", "1 (one)", "x (y) z", "a (b, c)", "good; bad (ugly)", "hello; select one", "left join the queue", "in the group (by age)", "order (by date)", "limit 5 per person", "having fun", "having 1 child", "values (and norms)", "what's up; call me", "thanks -- see you", "'tis the season", "'90s music", "the '90s and '80s", "class of '99", "\"'\"", "''", "'", "\"", "''''", "-", "--", "#", "/*", "*/", "(", ")", ",", ";", "()", "(;", "\\",
    "/* comment */", "a /* b */ c", "// comment", "# comment", "-- comment", "x=1; y=2", "i++", "x--", "++i", "--help", "--name=value", "-x --yes", "git commit -m 'x'", "ls -la | grep x", "a || b", "1e5", "0x1F", "1.5e-3 m", "x^2 + y^2", "10 mod 3", "1:1", "a:b", "a::b", "std::vector", "12 & 13", "1-1", "1 - 1 = 0", "(1-2)", "-5", "+5", "~5", "!important", "not found", "is not", "in (brackets)", "Room 1 and 2 (left)", "5 or more", "5 or (more)", "either (a) or (b)", "(a) and (b)", "1) first 2) second",
    "a) first", "b) second; c) third", "smile :)", "smile ;)", ":-)", ";-)", "<3", "e.g. (x), i.e. y", "10% of (x)", "word1 word2 (word3) word4", "and/or", "he/she", "1st and 2nd", "24/7", "9 to 5", "4x4", "one or two or three", "a and b and c", "x or y=z", "left=1 or right=2",
    "Jim's, Bob's and Al's", "can't, won't, don't", "It's 5 o'clock; let's go", "Bob's (big) burgers", "children's books", "The 'best' one", "Who's who? (part 1)", "let's select one", "it's from me", "what's in it", "that's all", "it's not like that", "it's where I am", "John's as good", "that's as is", "it's for you", "he's in", "she's by the door", "we'd set it", "it's by John", "it's using x", "it's on 5", "it's 1", "Bob's 2", "it's (x)", "it's; x", "it's, x", "Bob's & Al's", "it's / was", "it's - was", "its' = x", "5's", "the 1's and 2's",
];

/// The shape, and whether the text was read to its end.
fn folded(text: &str, context: Context, dialect: Dialect) -> ([u8; 5], bool) {
    let mut lexer = Lexer::new(text.as_bytes(), context, dialect);
    let folded = fold(&mut lexer);
    let is_read = lexer.next().is_none();
    (folded.fingerprint.classes(), is_read)
}

const DIALECTS: [Dialect; 2] = [Dialect::Ansi, Dialect::MySql];

/// What may stand behind a value, with the link to it.
fn takeovers() -> Vec<String> {
    let mut takeovers: Vec<String> = CLAUSES.iter().map(|&clause| clause.to_owned()).collect();
    for link in LINKS {
        takeovers.extend(
            CONDITIONS
                .iter()
                .map(|condition| format!("{link}{condition}")),
        );
    }
    for operation in OPERATIONS {
        takeovers.extend(
            TELLING
                .iter()
                .map(|telling| format!("{operation}{telling}")),
        );
    }
    takeovers.extend(STATEMENTS.iter().map(|statement| format!(";{statement}")));
    takeovers
}

/// Calls `found` with each text and the context that it is for; `found` says whether it read to
/// the end.
fn attacks(mut found: impl FnMut(&str, Context) -> bool) {
    let takeovers = takeovers();
    let mut text = String::new();
    for takeover in &takeovers {
        let numbers = NUMBERS
            .iter()
            .map(|start| (start.to_string(), Context::Plain));
        let strings = STRINGS
            .iter()
            .map(|start| (format!("x'{start}"), Context::Quoted(b'\'')));
        for (start, context) in numbers.chain(strings) {
            for end in ENDS {
                text.clear();
                text.extend([&start, takeover.as_str(), end]);
                let is_read = found(&text, context);
                // An end that the fingerprint does not reach changes nothing.
                if !is_read && end.is_empty() {
                    break;
                }
            }
        }
    }
    for statement in STATEMENTS.iter().filter(|text| text.contains([' ', '('])) {
        for end in ENDS {
            found(&format!("{statement}{end}"), Context::Plain);
        }
    }
    // Only to cut the rest of the query off.
    for start in ["1", "x'", "x')", "x'))", "1)", "x';", "x');"] {
        for end in ["--", "-- ", "#", "/*"] {
            let context = if start.contains('\'') {
                Context::Quoted(b'\'')
            } else {
                Context::Plain
            };
            found(&format!("{start}{end}"), context);
        }
    }
}

fn is_operand(class: u8) -> bool {
    matches!(class, b'1' | b'n' | b'v' | b's')
}

/// Whether two tokens can never stand side by side where a query goes on: then they are of a text.
fn is_broken(first: u8, second: u8) -> bool {
    match (first, second) {
        (b'q', second) => is_operand(second) || matches!(second, b'f' | b'E' | b't' | b'?'),
        (b'U', second) => is_operand(second),
        (b'o' | b'=' | b'i' | b'&', second) => {
            matches!(
                second,
                b'&' | b')' | b',' | b';' | b'o' | b'=' | b'c' | b'U' | b'B'
            )
        }
        (first, second) => {
            is_operand(first) && (is_operand(second) || matches!(second, b'f' | b'E' | b'T' | b't'))
        }
    }
}

fn is_strong(class: u8) -> bool {
    matches!(class, b'U' | b'E' | b'B' | b'T' | b'f')
}

/// Whether a shape tells an injection from a text at all.
fn is_telling(classes: [u8; 5]) -> bool {
    let length = classes.iter().filter(|&&class| class > 0).count();
    let shape = &classes[..length];
    let has = |wanted: &[u8]| shape.iter().any(|class| wanted.contains(class));
    let holds = |part: &[u8]| shape.windows(part.len()).any(|window| window == part);
    if length < 2 || is_beyond_doubt(&classes) {
        return false;
    }
    let is_call = shape.starts_with(b"Ens") || holds(b";Ens");
    let is_query = holds(b"(E") || holds(b"Env") || shape.starts_with(b"Ev") || is_call;
    if !is_query && shape.windows(2).any(|pair| is_broken(pair[0], pair[1])) {
        return false;
    }
    // Everyday words, unless more of a query stands by them.
    if (holds(b"kE") || holds(b"Uk")) && !holds(b"UkE") {
        return false;
    }
    if has(b"S") {
        let is_assignment = holds(b"Sv") || holds(b";S") && has(b"=v(");
        return is_assignment
            || holds(b";knS")
            || shape.starts_with(b"1knS")
            || shape.starts_with(b"qknS");
    }
    if shape.iter().any(|&class| is_strong(class)) {
        return length > 2 || shape == b"1U";
    }
    let is_dropped = holds(b";kn") && has(b"c") && shape[0] != b'n';
    let is_block = holds(b";k1") || holds(b";k(") || is_dropped;
    match (shape[0], shape[1]) {
        // Only to cut the rest off.
        (b'q' | b'1' | b'v' | b's', b'c') => true,
        (b'(', _) if has(b"&") && has(b"sv") => true,
        _ if has(b"kt?") && !is_block => false,
        _ if holds(b"),(") => true,
        (b'q', b')') => has(b"c&;"),
        (b'q', b'&') => length > 2 && (shape != b"q&n"),
        (b'q', b';') => shape == b"q;c" || is_block,
        (b'q', b'o' | b'=' | b'i' | b'h' | b',') => {
            length > 2 && (has(b"sc") || has(b"&=") && !has(b"n"))
        }
        (b'q', _) => false,
        _ if has(b"h") => !has(b"n"),
        _ => {
            has(b"&") && (has(b"=c") || has(b"i") && has(b"s1") && !has(b"n"))
                || has(b");") && has(b"c")
                || is_block
        }
    }
}

/// The shape, and all that differ only in what kinds of values stand in it.
fn with_other_values(classes: [u8; 5]) -> Vec<[u8; 5]> {
    let mut shapes = vec![classes];
    for at in 0..5 {
        if !is_operand(classes[at]) {
            continue;
        }
        for class in *b"1nvs" {
            let others: Vec<_> = shapes
                .iter()
                .map(|shape| {
                    let mut other = *shape;
                    other[at] = class;
                    other
                })
                .collect();
            shapes.extend(others);
        }
        shapes.sort_unstable();
        shapes.dedup();
    }
    shapes
}

fn generate() -> BTreeSet<(u32, String)> {
    let mut shapes = BTreeSet::new();
    attacks(|text, context| {
        let mut all_read = true;
        for dialect in DIALECTS {
            let (classes, is_read) = folded(text, context, dialect);
            all_read &= is_read;
            if is_telling(classes) && !shapes.contains(&classes) {
                shapes.extend(
                    with_other_values(classes)
                        .into_iter()
                        .filter(|&shape| is_telling(shape)),
                );
            }
        }
        all_read
    });
    for text in TEXTS {
        for context in contexts(text.as_bytes()) {
            for dialect in DIALECTS {
                let folded = fold(&mut Lexer::new(text.as_bytes(), context, dialect));
                // Some are told apart by more than their shape.
                if !is_text(&folded, context) {
                    shapes.remove(&folded.fingerprint.classes());
                }
            }
        }
    }
    let letters = |classes: [u8; 5]| {
        classes
            .iter()
            .filter(|&&class| class > 0)
            .map(|&class| char::from(class))
            .collect()
    };
    shapes
        .into_iter()
        .map(|classes| (pack(classes), letters(classes)))
        .collect()
}

#[test]
fn the_file_holds_what_the_templates_make() {
    let made: String = generate()
        .iter()
        .map(|(_, letters)| format!("{letters}\n"))
        .collect();
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/policy/waf/injection/fingerprints.txt"
    );
    if std::env::var_os("PORTCULLIS_WRITE_FINGERPRINTS").is_some() {
        std::fs::write(file, &made).unwrap();
    }
    let kept = std::fs::read_to_string(file).unwrap();
    assert!(
        kept == made,
        "fingerprints.txt is not what the templates make"
    );
}
