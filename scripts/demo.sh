#!/usr/bin/env bash
# The main job on simulated votes, as a user would type it. Usage: scripts/demo.sh FOLDER (made anew each time).
set -euo pipefail
folder=${1:?usage: scripts/demo.sh FOLDER}
marker=$folder/.votecast-demo
if [[ -e $folder && ! -e $marker ]]; then
    echo "$folder already exists and was not made by this demo; name another folder" >&2
    exit 1
fi
rm -rf "$folder"
mkdir -p "$folder"
touch "$marker"
cd "$folder"

show() {
    local word line='$'
    for word in "$@"; do
        if [[ $word =~ ^[A-Za-z0-9_./:=-]+$ ]]; then line+=" $word"; else line+=" \"$word\""; fi
    done
    printf '\n%s\n' "$line"
    "$@"
}

show votecast simulate --rows 4000 --out train.csv
show votecast simulate --rows 1000 --seed 1 --no-votes --out test.csv
show votecast train baseline --train train.csv --out judge
show votecast predict --judge judge --input test.csv --out submission.csv --format lmsys
head -n 4 submission.csv

printf '\nHow good is it? The same test battles, now with their votes, beside the best possible: the true probabilities.\n'
show votecast simulate --rows 1000 --seed 1 --out test_votes.csv
show votecast evaluate --judge judge --input test_votes.csv --truth test_votes.truth.parquet --no-slices

printf '\nWhat to trust it with, as a page to read; and the models of the arena, ranked by its votes.\n'
show votecast report --judge judge --input test_votes.csv --out report.html
show votecast rank --input train.csv --min-battles 250 --out leaderboard.csv --html leaderboard.html

show votecast compare --prompt 'Why is the sky blue?' --a 'Air scatters blue light far more than red (Rayleigh scattering), so blue reaches us from every direction.' --b 'Because.'
printf '\nAll of it is in %s: judge/ with its card README.md, submission.csv, report.html, leaderboard.html, and the settings beside each file.\n' "$folder"
printf 'A page to try the judge on, and the same over HTTP: .venv/bin/votecast serve --judge %s/judge\n' "$folder"
