graph [
  name "preferential-50"
  node [
    id 0
    label "0"
  ]
  node [
    id 1
    label "1"
  ]
  node [
    id 2
    label "2"
  ]
  node [
    id 3
    label "3"
  ]
  node [
    id 4
    label "4"
  ]
  node [
    id 5
    label "5"
  ]
  node [
    id 6
    label "6"
  ]
  node [
    id 7
    label "7"
  ]
  node [
    id 8
    label "8"
  ]
  node [
    id 9
    label "9"
  ]
  node [
    id 10
    label "10"
  ]
  node [
    id 11
    label "11"
  ]
  node [
    id 12
    label "12"
  ]
  node [
    id 13
    label "13"
  ]
  node [
    id 14
    label "14"
  ]
  node [
    id 15
    label "15"
  ]
  node [
    id 16
    label "16"
  ]
  node [
    id 17
    label "17"
  ]
  node [
    id 18
    label "18"
  ]
  node [
    id 19
    label "19"
  ]
  node [
    id 20
    label "20"
  ]
  node [
    id 21
    label "21"
  ]
  node [
    id 22
    label "22"
  ]
  node [
    id 23
    label "23"
  ]
  node [
    id 24
    label "24"
  ]
  node [
    id 25
    label "25"
  ]
  node [
    id 26
    label "26"
  ]
  node [
    id 27
    label "27"
  ]
  node [
    id 28
    label "28"
  ]
  node [
    id 29
    label "29"
  ]
  node [
    id 30
    label "30"
  ]
  node [
    id 31
    label "31"
  ]
  node [
    id 32
    label "32"
  ]
  node [
    id 33
    label "33"
  ]
  node [
    id 34
    label "34"
  ]
  node [
    id 35
    label "35"
  ]
  node [
    id 36
    label "36"
  ]
  node [
    id 37
    label "37"
  ]
  node [
    id 38
    label "38"
  ]
  node [
    id 39
    label "39"
  ]
  node [
    id 40
    label "40"
  ]
  node [
    id 41
    label "41"
  ]
  node [
    id 42
    label "42"
  ]
  node [
    id 43
    label "43"
  ]
  node [
    id 44
    label "44"
  ]
  node [
    id 45
    label "45"
  ]
  node [
    id 46
    label "46"
  ]
  node [
    id 47
    label "47"
  ]
  node [
    id 48
    label "48"
  ]
  node [
    id 49
    label "49"
  ]
  edge [
    source 0
    target 1
  ]
  edge [
    source 0
    target 2
  ]
  edge [
    source 0
    target 3
  ]
  edge [
    source 0
    target 4
  ]
  edge [
    source 0
    target 5
  ]
  edge [
    source 0
    target 6
  ]
  edge [
    source 0
    target 7
  ]
  edge [
    source 0
    target 8
  ]
  edge [
    source 0
    target 9
  ]
  edge [
    source 0
    target 10
  ]
  edge [
    source 0
    target 11
  ]
  edge [
    source 0
    target 19
  ]
  edge [
    source 0
    target 22
  ]
  edge [
    source 0
    target 23
  ]
  edge [
    source 0
    target 39
  ]
  edge [
    source 0
    target 41
  ]
  edge [
    source 0
    target 49
  ]
  edge [
    source 1
    target 3
  ]
  edge [
    source 1
    target 7
  ]
  edge [
    source 1
    target 13
  ]
  edge [
    source 1
    target 19
  ]
  edge [
    source 1
    target 23
  ]
  edge [
    source 1
    target 29
  ]
  edge [
    source 1
    target 37
  ]
  edge [
    source 1
    target 38
  ]
  edge [
    source 2
    target 5
  ]
  edge [
    source 2
    target 11
  ]
  edge [
    source 2
    target 12
  ]
  edge [
    source 2
    target 20
  ]
  edge [
    source 2
    target 27
  ]
  edge [
    source 2
    target 29
  ]
  edge [
    source 2
    target 31
  ]
  edge [
    source 2
    target 44
  ]
  edge [
    source 3
    target 4
  ]
  edge [
    source 3
    target 9
  ]
  edge [
    source 3
    target 13
  ]
  edge [
    source 3
    target 15
  ]
  edge [
    source 3
    target 17
  ]
  edge [
    source 3
    target 18
  ]
  edge [
    source 3
    target 20
  ]
  edge [
    source 3
    target 26
  ]
  edge [
    source 3
    target 47
  ]
  edge [
    source 4
    target 6
  ]
  edge [
    source 4
    target 8
  ]
  edge [
    source 4
    target 16
  ]
  edge [
    source 4
    target 28
  ]
  edge [
    source 4
    target 35
  ]
  edge [
    source 4
    target 36
  ]
  edge [
    source 4
    target 44
  ]
  edge [
    source 4
    target 46
  ]
  edge [
    source 4
    target 47
  ]
  edge [
    source 5
    target 10
  ]
  edge [
    source 5
    target 12
  ]
  edge [
    source 5
    target 30
  ]
  edge [
    source 5
    target 34
  ]
  edge [
    source 5
    target 36
  ]
  edge [
    source 5
    target 45
  ]
  edge [
    source 6
    target 25
  ]
  edge [
    source 7
    target 14
  ]
  edge [
    source 7
    target 21
  ]
  edge [
    source 7
    target 43
  ]
  edge [
    source 8
    target 26
  ]
  edge [
    source 9
    target 14
  ]
  edge [
    source 9
    target 15
  ]
  edge [
    source 9
    target 34
  ]
  edge [
    source 10
    target 35
  ]
  edge [
    source 10
    target 40
  ]
  edge [
    source 12
    target 33
  ]
  edge [
    source 13
    target 43
  ]
  edge [
    source 13
    target 46
  ]
  edge [
    source 14
    target 17
  ]
  edge [
    source 15
    target 16
  ]
  edge [
    source 15
    target 22
  ]
  edge [
    source 15
    target 24
  ]
  edge [
    source 15
    target 30
  ]
  edge [
    source 15
    target 33
  ]
  edge [
    source 15
    target 42
  ]
  edge [
    source 16
    target 18
  ]
  edge [
    source 16
    target 21
  ]
  edge [
    source 16
    target 24
  ]
  edge [
    source 16
    target 32
  ]
  edge [
    source 16
    target 45
  ]
  edge [
    source 20
    target 27
  ]
  edge [
    source 20
    target 40
  ]
  edge [
    source 23
    target 31
  ]
  edge [
    source 23
    target 37
  ]
  edge [
    source 24
    target 25
  ]
  edge [
    source 24
    target 32
  ]
  edge [
    source 27
    target 28
  ]
  edge [
    source 27
    target 39
  ]
  edge [
    source 27
    target 48
  ]
  edge [
    source 30
    target 41
  ]
  edge [
    source 33
    target 42
  ]
  edge [
    source 33
    target 48
  ]
  edge [
    source 37
    target 38
  ]
  edge [
    source 40
    target 49
  ]
]
