#!/usr/bin/env escript
%% The other end as Discord's own is made: `identify FILE TOKEN` writes an IDENTIFY with term_to_binary, `ready FILE`
%% matches a READY as nostrum does, atoms and integers, and prints the bot's id.
main(["identify", File, Token]) ->
    D = #{<<"token">> => list_to_binary(Token), <<"intents">> => 33281, <<"shard">> => [0, 1], <<"compress">> => false,
          <<"properties">> => #{<<"os">> => <<"erlang">>}, <<"presence">> => nil, <<"large_threshold">> => 250},
    ok = file:write_file(File, term_to_binary(#{<<"op">> => 2, <<"d">> => D}));
main(["ready", File]) ->
    {ok, Bytes} = file:read_file(File),
    #{op := 0, t := 'READY', s := 1, d := D} = binary_to_term(Bytes),
    #{<<"v">> := 10, <<"user">> := #{<<"id">> := Id, <<"bot">> := true, <<"avatar">> := nil}, <<"guilds">> := Guilds,
      <<"shard">> := [0, 1], <<"private_channels">> := []} = D,
    true = is_integer(Id),
    true = lists:all(fun(#{<<"id">> := Guild, <<"unavailable">> := true}) -> is_integer(Guild) end, Guilds),
    io:format("~b~n", [Id]).
